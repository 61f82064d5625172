"""What a query prints: a table for people, tab-separated lines for programs, or JSON."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
import orjson

F = TypeVar("F", bound=Callable[..., Any])

#: Columns that are never cut: other commands ask for what is in them. Where they take more than half of the line they
#: take several lines.
_WHOLE = ("id", "status")
#: Those that are left out, in this order, where a line has no room for so many characters of each, and of the last.
_SPARE, _LEAST, _LAST = ("attempts", "ended", "subject", "created", "due", "type"), 12, 24
#: Characters between two columns.
_GAP = 3
#: All control characters but tab and newline.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
#: How statuses look.
_STYLES = {
    "completed": "green",
    "failed": "red",
    "stuck": "bold red",
    "cancelled": "yellow",
    "running": "blue",
}


def json_option(fn: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(fn)


def print_json(value: Any) -> None:
    """Indented; times as RFC 3339 in UTC with microseconds."""
    text = orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode()
    sys.stdout.write(f"{text}\n")


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on a terminal, else a line of names and a line per row, separated by tabs.

    A table has ids and statuses whole, and the rest is cut where it does not fit. Of what there is no room for at all,
    a line on stderr says that it is missing.
    """
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            print_line(row)
        return
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widths = {
        column: max(cell_len(column), *(cell_len(_seen(row[place])) for row in rows), 0)
        for place, column in enumerate(columns)
    }
    shown = _with_room(widths, console.width)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for column, room in _rooms(shown, widths, console.width).items():
        table.add_column(column, overflow="fold", width=room)
    for row in rows:
        cells = [Text(_seen(cell), _STYLES.get(str(cell), "")) for cell in row]
        for column, cell in zip(columns, cells, strict=True):
            if column not in _WHOLE:
                cell.no_wrap, cell.overflow = True, "ellipsis"
        table.add_row(*(cell for column, cell in zip(columns, cells, strict=True) if column in shown))
    console.print(table)
    missing = [column for column in columns if column not in shown]
    if missing:
        click.echo(f"no room for {', '.join(missing)}: widen the terminal, or take --json", err=True)


def _with_room(widths: Mapping[str, int], line: int) -> list[str]:
    """The columns that a table on so wide a terminal has."""
    shown = list(widths)

    def needed() -> int:
        least = (line // 2 if one in _WHOLE else _LAST if one == shown[-1] else _LEAST for one in shown)
        return sum(map(min, least, map(widths.__getitem__, shown))) + _GAP * len(shown)

    for spare in _SPARE:
        if needed() <= line:
            break
        if spare in shown:
            shown.remove(spare)
    return shown


def _rooms(shown: Sequence[str], widths: Mapping[str, int], line: int) -> dict[str, int]:
    """How wide each column is: the widest of those that may be cut give way."""
    rooms = {one: min(widths[one], line // 2) if one in _WHOLE else widths[one] for one in shown}
    cut = [one for one in shown if one not in _WHOLE]
    while cut and sum(rooms.values()) + _GAP * len(shown) > line and max(rooms[one] for one in cut) > 1:
        rooms[max(cut, key=rooms.__getitem__)] -= 1
    return rooms


def print_line(row: Sequence[Any]) -> None:
    """Cells separated by tabs."""
    sys.stdout.write("\t".join(_field(cell) for cell in row) + "\n")


def print_fields(fields: Mapping[str, Any]) -> None:
    """One thing, a line per field; on a terminal only of those that say something."""
    if not sys.stdout.isatty():
        for name, value in fields.items():
            sys.stdout.write(f"{name}\t{_field(value)}\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value is None or value is False:
            continue
        table.add_row(name, Text(_seen(value), _STYLES.get(str(value), "")))
    Console().print(table)


def more(cursor: str | None) -> None:
    """Say on stderr that there is another page."""
    if cursor is not None:
        click.echo(f"there are more: --cursor {cursor}", err=True)


def quietly() -> contextlib.AbstractContextManager[Any]:
    """While the user's code runs: what it prints is not what the command was asked for."""
    return contextlib.redirect_stdout(sys.stderr)


def compact(value: Any) -> str:
    """JSON on one line."""
    return orjson.dumps(value, default=str).decode()


def _field(value: Any) -> str:
    """Never breaks the line or the column."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    text = "" if value is None else str(value)
    for character, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(character, written)
    return printable(text)


def _seen(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return "" if value is None else printable(str(value))


def printable(text: str) -> str:
    """Without characters that would tell the terminal something: words of others may be in it."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
