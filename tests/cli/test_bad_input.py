"""Whatever is typed, the answer is one line that says what to do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cli.shell import Shell


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "No such command"),
        (("list",), "Missing argument"),
        (("list", "shop"), "is not MODULE:APP"),
        (("list", "shop:"), "is not MODULE:APP"),
        (("list", "shp:app"), "no module 'shp'"),
        (("list", "shop.app:app"), "no module 'shop.app'"),
        (("list", "shop:nothing"), "has no 'nothing'"),
        (("list", "shop:total"), "no App"),
        (("list", "shop:app", "--limit", "0"), "--limit"),
        (("list", "shop:app", "--status", "odd"), "--status"),
        (("list", "shop:app", "--input", "a"), "PATH=VALUE"),
        (("start", "shop:app", "total", "{"), "not JSON"),
        (("start", "shop:app", "total", "[1]"), "JSON object"),
        (("run", "shop:app", "--backend", "curio"), "--backend"),
        (("demo", "--orders", "0"), "--orders"),
    ],
)
def test_usage(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    complaint = shell.complaint(2, *arguments)
    assert said in complaint
    assert "--help" in complaint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("start", "shop:app", "totl"), "no workflow 'totl'; there are nap, quarrel, total"),
        (("start", "shop:app", "total"), "a: missing argument"),
        (("start", "shop:app", "total", '{"a": "x"}'), "a: expected int"),
        (("start", "shop:app", "total", '{"aa": 1}'), "did you mean 'a'"),
        (("start", "shop:app", "total", '{"a": 1}', "--id", " "), "printable"),
        (("show", "shop:app", "nobody"), "no instance 'nobody'"),
        (("history", "shop:app", "nobody"), "no instance 'nobody'"),
        (("cancel", "shop:app", "nobody"), "no instance 'nobody'"),
        (("list", "shop:app", "--cursor", "?"), "cursor"),
    ],
)
def test_failure(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    shell.output("migrate", "shop:app")
    assert said in shell.complaint(1, *arguments)


def test_a_question_makes_no_database(shell: Shell) -> None:
    assert "there is no database shop.db" in shell.complaint(1, "list", "shop:app")
    assert not (shell.directory / "shop.db").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nonexistent", "No module named 'nonexistent'"),
        ("x = 1 +", "SyntaxError"),
        ("1 / 0", "broken.py, line 1"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("from perdure import App; app = App('oracle://x', workflows=[])", "no store for oracle"),
    ],
)
def test_a_module_that_cannot_be_imported(shell: Shell, source: str, said: str) -> None:
    (shell.directory / "broken.py").write_text(source)
    assert said in shell.complaint(1, "list", "broken:app")


def test_id_of_another_workflow(shell: Shell) -> None:
    shell.output("start", "shop:app", "total", '{"a": 1}', "--id", "x")
    assert "belongs to workflow 'total'" in shell.complaint(
        1, "start", "shop:app", "nap", '{"seconds": 1}', "--id", "x"
    )


def test_help_is_for_people(shell: Shell) -> None:
    text = shell.output("--help")
    for command in ("demo", "run", "migrate", "start", "list", "show", "history", "cancel"):
        assert f"\n  {command} " in text
        assert "Usage: perdure " in shell.output(command, "--help")
    assert "Exit codes" in text


def test_help_answers_at_once() -> None:
    """It must not wait for what only the commands themselves need."""
    program = "import sys, perdure_adapters.cli.program; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"perdure", "anyio", "attrs", "rich.console"} & set(ran.stdout.split())
