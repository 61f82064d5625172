"""`perdure migrate`."""

from __future__ import annotations

import json

from cli.shell import Shell


def test_status_makes_no_database(shell: Shell) -> None:
    ran = shell.run("migrate", "shop:app", "--status", "--json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["pending"]
    assert not (shell.directory / "shop.db").exists()


def test_applies_once(shell: Shell) -> None:
    pending = json.loads(shell.run("migrate", "shop:app", "--status", "--json").stdout)["pending"]
    assert shell.output("migrate", "sqlite:///shop.db").split() == pending
    assert json.loads(shell.output("migrate", "shop:app", "--json")) == {"applied": []}
    assert json.loads(shell.output("migrate", "shop:app", "--status", "--json")) == {"pending": []}


def test_memory_has_none(shell: Shell) -> None:
    assert shell.output("migrate", "memory://x") == ""


def test_complaints(shell: Shell) -> None:
    assert "sqlite" in shell.complaint(1, "migrate", "oracle://x")
    assert "make it first" in shell.complaint(1, "migrate", "sqlite:///no/such/directory/x.db")
    (shell.directory / "text.db").write_text("this is no database, whatever its name says\n" * 40)
    assert "not a database" in shell.complaint(1, "migrate", "sqlite:///text.db")
