"""Ids and incarnations, what must never be given twice; and where chance and the time of day come from."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from random import Random
from secrets import randbits

_bits: Callable[[int], int] = randbits
_incarnation: Callable[[str], int] = lambda _: _bits(128)  # noqa: E731  # it is replaced as one
_time: Callable[[], int] = lambda: time.time_ns() // 1000  # noqa: E731  # it is replaced as one


def bits(count: int) -> int:
    """So many random bits."""
    return _bits(count)


def luck() -> Random:
    """A generator for what need not be safe, only different."""
    return Random(_bits(64))


def time_of_day() -> int:
    """This machine's clock, in microseconds since 1970 UTC."""
    return _time()


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): ids made one after the other lie together in the database."""
    chance = _bits(80)
    number = (_time() // 1000 << 80) | (7 << 76) | ((chance >> 68) << 64) | (2 << 62) | (chance & (2**62 - 1))
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_incarnation(instance_id: str) -> str:
    """128 random bits, as 32 hex digits. From them comes the workflow's own chance."""
    return f"{_incarnation(instance_id):032x}"


@contextmanager
def settled() -> Generator[None]:
    """For tests: an instance's incarnation, and so its own chance, comes from its id alone, in the whole process."""
    global _incarnation
    before = _incarnation
    _incarnation = _of_its_id
    try:
        yield
    finally:
        _incarnation = before


def _of_its_id(instance_id: str) -> int:
    return int.from_bytes(hashlib.sha256(instance_id.encode()).digest()[:16])


@contextmanager
def replaced(bits: Callable[[int], int], time: Callable[[], int]) -> Generator[None]:
    """For simulations: everything above comes from these, in the whole process."""
    global _bits, _time
    before = _bits, _time
    _bits, _time = bits, time
    try:
        yield
    finally:
        _bits, _time = before
