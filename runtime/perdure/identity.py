"""Ids and incarnations: what must never be given twice."""

from __future__ import annotations

import time
from os import urandom


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): ids made one after the other lie together in the database."""
    milliseconds = time.time_ns() // 1_000_000
    chance = int.from_bytes(urandom(10))
    number = (milliseconds << 80) | (7 << 76) | ((chance >> 68) << 64) | (2 << 62) | (chance & (2**62 - 1))
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_incarnation() -> str:
    """128 random bits, as 32 hex digits."""
    return urandom(16).hex()
