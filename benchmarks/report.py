"""Figures, and how they are printed."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen


@frozen
class Figure:
    """`ratio` is to `against`, measured in the same run; `aim` says what is wanted."""

    what: str
    value: str
    ratio: str = ""
    against: str = ""
    aim: str = ""


def show(title: str, figures: Sequence[Figure]) -> None:
    print(f"\n{title}")
    for figure in figures:
        ratio = f"{figure.ratio} of {figure.against}" if figure.ratio else ""
        aim = f"(aim: {figure.aim})" if figure.aim else ""
        print(f"  {figure.what:<46} {figure.value:>16}  {ratio:<42} {aim}", flush=True)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of them lie, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def micro(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} us" if seconds < 0.01 else f"{seconds * 1e3:,.1f} ms"


@contextmanager
def folder() -> Iterator[Path]:
    """A directory for database files, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as path:
        yield Path(path)


def best(rounds: int, measure: Callable[[], float]) -> float:
    """The least of several measurements: what the machine can do when nobody disturbs it."""
    return min(measure() for _ in range(rounds))
