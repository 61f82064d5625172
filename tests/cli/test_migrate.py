"""`perdure migrate`."""

from __future__ import annotations

from cli.prompt import Prompt


def test_status_makes_no_database(prompt: Prompt) -> None:
    assert prompt("migrate", "shop:app", "--status", "--json", code=1).json["pending"]
    assert not (prompt.directory / "shop.db").exists()


def test_applies_once(prompt: Prompt) -> None:
    pending = prompt("migrate", "shop:app", "--status", "--json", code=1).json["pending"]
    assert prompt("migrate", "sqlite:///shop.db").out.split() == pending
    assert prompt("migrate", "shop:app", "--json").json == {"applied": []}
    assert prompt("migrate", "shop:app", "--status", "--json").json == {"pending": []}


def test_memory_has_none(prompt: Prompt) -> None:
    assert prompt("migrate", "memory://x").out == ""


def test_complaints(prompt: Prompt) -> None:
    assert "sqlite" in prompt.complaint(1, "migrate", "oracle://x")
    assert "make it first" in prompt.complaint(1, "migrate", "sqlite:///no/such/directory/x.db")
    (prompt.directory / "text.db").write_text("this is no database, whatever its name says\n" * 40)
    assert "not a database" in prompt.complaint(1, "migrate", "sqlite:///text.db")
