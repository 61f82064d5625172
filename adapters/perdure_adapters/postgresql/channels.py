"""What notifications are called: one channel a service, one a process, and what is said on them."""

from __future__ import annotations

import hashlib
from functools import cache

#: Workers or partitions have changed.
MEMBERS = "members"


@cache
def channel(service: str) -> str:
    """That of all processes of a service. (A channel's name has at most 63 bytes, a service's 255.)"""
    return f"perdure_{hashlib.sha256(service.encode()).hexdigest()[:24]}"


def request(partition: int) -> str:
    """There is a request for an instance of this partition."""
    return f"request {partition}"


def partition_of(said: str) -> int | None:
    """The partition that a request is for, or None for anything else."""
    return _numbered(said, "request")


def outbox_of(said: str) -> int | None:
    """The partition in whose outbox there is something, or None for anything else: `emitted` and its number."""
    return _numbered(said, "emitted")


def letters_of(said: str) -> int | None:
    """The partition for whose owner there is a letter, or None for anything else: `letter` and its number."""
    return _numbered(said, "letter")


def queue_of(said: str) -> str | None:
    """The competing channel in whose queue there is a message, or None for anything else: `queued` and its name."""
    kind, blank, name = said.partition(" ")
    return name if kind == "queued" and blank else None


def _numbered(said: str, wanted: str) -> int | None:
    kind, _, number = said.partition(" ")
    return int(number) if kind == wanted and number.isdigit() else None
