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
    kind, _, number = said.partition(" ")
    return int(number) if kind == "request" and number.isdigit() else None
