"""The steps of an instance, as `show` prints them: bars on a terminal, tab-separated lines else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perdure_adapters.cli.output import print_line, printable

if TYPE_CHECKING:
    from perdure import Step

_COLUMNS = ("step", "kind", "name", "outcome", "began", "took", "attempts", "child", "error")
_STYLES = {"done": "green", "failed": "red", "cancelled": "yellow", "open": "blue"}
#: Rows of a terminal's table; the first and the last of more.
_MOST = 60
_BAR = 24


def fields(step: Step) -> dict[str, Any]:
    return {
        "number": step.number,
        "kind": step.kind,
        "name": step.name,
        "outcome": step.outcome,
        "began_at": step.began,
        "ended_at": step.ended,
        "attempts": step.attempts,
        "child": step.child,
        "error": step.error,
    }


def print_steps(steps: Sequence[Step], start: datetime, end: datetime) -> None:
    """`start` and `end` of the instance, or now: the ends of the axis."""
    if sys.stdout.isatty():
        _print_bars(steps, start, end)
        return
    print_line(_COLUMNS)
    for step in steps:
        took = _seconds(step)
        attempts = step.attempts
        row = step.number, step.kind, step.name, step.outcome, step.began, took, attempts, step.child, step.error
        print_line(row)


def _seconds(step: Step) -> str | None:
    if step.began is None or step.ended is None:
        return None
    return f"{(step.ended - step.began).total_seconds():.6f}"


def _print_bars(steps: Sequence[Step], start: datetime, end: datetime) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "step", "began", "took", "", "outcome"):
        table.add_column(column, no_wrap=column != "outcome")
    left_out = len(steps) - _MOST
    for number, step in enumerate(steps):
        if left_out > 0 and _MOST // 2 <= number < _MOST // 2 + left_out:
            if number == _MOST // 2:
                table.add_row("", Text(f"{left_out:,} more: --json has them", "dim"), "", "", "", "")
            continue
        style = _STYLES[step.outcome]
        began = "" if step.began is None else f"+{_short(step.began - start)}"
        took = "" if step.began is None else _short((step.ended or end) - step.began)
        table.add_row(
            str(step.number),
            Text.assemble((f"{step.kind} ", "dim"), step.name, f" {step.child}" if step.child else ""),
            began,
            Text(f"{took} ..." if step.outcome == "open" and took else took),
            Text(_bar(step, start, end), style),
            Text(_outcome(step), style, no_wrap=True, overflow="ellipsis"),
        )
    Console().print(table)


def _outcome(step: Step) -> str:
    text: str = step.outcome
    if step.attempts is not None and step.attempts > 1:
        text += f", attempt {step.attempts}"
    return printable(f"{text}: {step.error}" if step.error and step.outcome != "done" else text)


def _bar(step: Step, start: datetime, end: datetime) -> str:
    whole = (end - start) / timedelta(seconds=1)
    if step.began is None or whole <= 0:
        return ""
    full, empty = ("━", "─") if _knows_bars() else ("=", "-")
    first = round((step.began - start) / timedelta(seconds=1) / whole * (_BAR - 1))
    last = round(((step.ended or end) - start) / timedelta(seconds=1) / whole * (_BAR - 1))
    first = min(max(first, 0), _BAR - 1)
    last = min(max(last, first), _BAR - 1)
    return " " * first + (empty if step.outcome == "open" else full) * (last - first + 1)


def _knows_bars() -> bool:
    return sys.stdout.encoding.lower().startswith("utf")


def _short(length: timedelta) -> str:
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 360_000 else f"{seconds / 86_400:.0f} days"
