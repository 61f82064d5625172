"""The reference says what --help says."""

from __future__ import annotations

import pytest

from cli.manual import BEGIN, PAGE, manual, written


def test_the_reference_is_up_to_date() -> None:
    assert BEGIN in PAGE.read_text(encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == written(), "write it anew with `just manual`"


def test_it_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = manual()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "10")
    assert manual() == before
    assert max(map(len, before.splitlines())) <= 80
