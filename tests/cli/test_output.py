"""What is printed: whole where it matters, and harmless whatever is in it."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime

import pytest

from perdure_adapters.cli.output import print_fields, print_rows

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
COLUMNS = ("id", "status", "type", "subject", "attempts", "created", "due", "error")
ROWS = [
    ("0f2c8f4e-6f0a-7b1c-9d2e-3f4a5b6c7d8e", "dead", "order.placed", "order-17", 5, WHEN, None, "400 Bad Request (no)"),
    ("7", "pending", "order.placed", None, 0, WHEN, WHEN, None),
]
NASTY = "\x1b[31mred\x1b[0m \x1b]0;title\x07 and \x9b2J"


WIDTHS = pytest.mark.parametrize("width", [60, 80, 100, 200])


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)


@WIDTHS
def test_ids_statuses_and_errors_are_never_left_out(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_a_terminal(monkeypatch, width)
    print_rows(COLUMNS, ROWS)
    out, notes = capsys.readouterr()
    lines = re.sub("\x1b\\[[0-9;]*m", "", out).splitlines()
    assert all(len(line) <= width for line in lines)
    head = lines[1].split()
    assert head[:2] == ["id", "status"] and head[-1] == "error"
    assert "dead" in out and "400 Bad" in out
    assert ROWS[0][0] in "".join(line[1:].split(" ")[0] for line in lines[3:])
    left_out = [column for column in COLUMNS if column not in head]
    assert notes == (f"no room for {', '.join(left_out)}: widen the terminal, or take --json\n" if left_out else "")
    assert bool(left_out) is (width < 200)


@WIDTHS
def test_a_long_id_leaves_room_for_the_rest(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_a_terminal(monkeypatch, width)
    print_rows(("id", "workflow", "status", "created", "ended"), [("x" * 255, "order", "waiting", WHEN, None)])
    out, _ = capsys.readouterr()
    assert out.count("x") == 255 and "waiting" in out and "order" in out


@WIDTHS
def test_a_long_name_leaves_the_status_whole(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_a_terminal(monkeypatch, width)
    print_rows(("id", "workflow", "status", "created", "ended"), [("i" * 36, "w" * 60, "compensating", WHEN, None)])
    out, _ = capsys.readouterr()
    lines = re.sub("\x1b\\[[0-9;]*m", "", out).splitlines()
    assert "compensating" in out and all(len(line) <= width for line in lines)
    assert ("…" in out) is ("w" * 60 not in out)


@pytest.mark.parametrize("terminal", [True, False])
def test_words_of_others_do_nothing_to_the_terminal(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if terminal:
        on_a_terminal(monkeypatch, 200)
    print_fields({"error": NASTY})
    print_rows(("id", "error"), [("1", NASTY)])
    out, _ = capsys.readouterr()
    assert out.count("x1b[31mred") == 2 and out.count("x07") == 2 and out.count("x9b2J") == 2
    assert not any(told in out for told in ("\x1b[31m", "\x1b]", "\x07", "\x9b"))
