"""What a query prints: a table for people, tab-separated lines for programs, or JSON."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
import orjson

F = TypeVar("F", bound=Callable[..., Any])

#: Columns that are never cut: other commands ask for what is in them.
_WHOLE = ("id", "status")
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

    A table keeps each row on one line: ids and statuses are whole, and the rest is cut where it does not fit.
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

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        whole = column in _WHOLE and max([cell_len(_seen(row[place])) for row in rows], default=0)
        table.add_column(column, no_wrap=column != columns[-1], min_width=whole or None)
    for row in rows:
        texts = [Text(_seen(cell), _STYLES.get(str(cell), "")) for cell in row]
        texts[-1].no_wrap, texts[-1].overflow = True, "ellipsis"
        table.add_row(*texts)
    Console().print(table)


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
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _seen(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return "" if value is None else str(value)
