"""Making a failing schedule of faults smaller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

F = TypeVar("F")


def shrink(faults: Sequence[F], fails: Callable[[Sequence[F]], str | None], trouble: str) -> tuple[tuple[F, ...], str]:
    """Leave out faults while it still fails, halves first, then smaller parts.

    Gives the faults that are left, none of which can be left out alone, and what goes wrong then.
    (Delta debugging: Zeller and Hildebrandt, 2002, in its complement-only form.)
    """
    left = tuple(faults)
    size = max(1, len(left) // 2)
    while True:
        smaller = False
        place = 0
        while place < len(left):
            fewer = left[:place] + left[place + size :]
            how = fails(fewer)
            if how is None:
                place += size
            else:
                left, trouble, smaller = fewer, how, True
        if size == 1 and not smaller:
            return left, trouble
        size = max(1, size // 2) if not smaller or size > len(left) else size
