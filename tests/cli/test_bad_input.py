"""Whatever is typed, the answer is one line that says what to do."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from cli.prompt import Prompt
from cli.shell import SHOP, Shell

ITEM = '{"item": "x"}'


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
def test_usage(prompt: Prompt, arguments: tuple[str, ...], said: str) -> None:
    prompt.write(SHOP)
    complaint = prompt.complaint(2, *arguments)
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
def test_failure(prompt: Prompt, arguments: tuple[str, ...], said: str) -> None:
    prompt.write(SHOP)
    prompt("migrate", "shop:app")
    assert said in prompt.complaint(1, *arguments)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nonexistent", "No module named 'nonexistent'"),
        ("x = 1 +", "SyntaxError"),
        ("1 / 0", "shop.py, line 1"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("from perdure import App; app = App('oracle://x', workflows=[])", "no store for oracle"),
    ],
)
def test_a_module_that_cannot_be_imported(prompt: Prompt, source: str, said: str) -> None:
    prompt.write(source)
    assert said in prompt.complaint(1, "list", "shop:app")


def test_id_of_another_workflow(prompt: Prompt) -> None:
    prompt.write(SHOP)
    prompt("start", "shop:app", "total", '{"a": 1}', "--id", "x")
    complaint = prompt.complaint(1, "start", "shop:app", "nap", '{"seconds": 1}', "--id", "x")
    assert "belongs to workflow 'total'" in complaint


def test_help_is_for_people(prompt: Prompt) -> None:
    text = prompt("--help").out
    for command in ("demo", "run", "serve", "migrate", "start", "list", "show", "history", "why", "cancel", "verify"):
        assert f"\n  {command} " in text
    assert "Usage: perdure show " in prompt("show", "--help").out
    assert "Exit codes" in text


def test_help_answers_at_once() -> None:
    """It must not wait for what only the commands themselves need."""
    program = "import sys, perdure_adapters.cli.program; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"perdure", "anyio", "attrs", "rich.console"} & set(ran.stdout.split())


@pytest.mark.parametrize("url", ["postgresql://postgres@127.0.0.1:9/x", "mysql://root@127.0.0.1:9/x"])
def test_a_server_that_is_away(prompt: Prompt, url: str) -> None:
    prompt.open(url)
    asked = (("list",), ("show", "x"), ("history", "x"), ("why", "x"), ("verify",), ("bench",), ("outbox",))
    told = (("start", "hear", ITEM), ("cancel", "x"), ("send", "x", "c"), ("publish", "c"), ("retry", "x"))
    for name, *arguments in (*asked, *told, ("emit", "t", "--source", "/s"), ("purge", "--older-than", "1d", "--yes")):
        complaint = prompt.complaint(1, name, "shop:app", *arguments)
        assert "check that it runs and can be reached" in complaint


def test_a_database_that_is_not_there(prompt: Prompt) -> None:
    for name, *arguments in (
        ("list",),
        ("why", "x"),
        ("verify",),
        ("bench",),
        ("outbox",),
        ("purge", "--older-than", "1d"),
    ):
        assert "there is no database shop.db" in prompt.complaint(1, name, "shop:app", *arguments)
    assert not (prompt.directory / "shop.db").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("send", "shop:app", "x"), "Missing argument 'CHANNEL'"),
        (("send", "shop:app", "x", "c", "1", "--metadata", "k"), "is not K=V"),
        (("emit", "shop:app", "t"), "Missing option '--source'"),
        (("emit", "shop:app", "t", "--source", "/s", "--time", "noon"), "no time with an offset"),
        (("emit", "shop:app", "t", "--source", "/s", "--extension", "id=3"), "id is no extension; give --id"),
        (("outbox", "shop:app", "--status", "odd"), "--status"),
        (("retry", "shop:app"), "Missing argument 'ID...'"),
        (("purge", "shop:app"), "Missing option '--older-than'"),
        (("purge", "shop:app", "--older-than", "3"), "give 45s, 90m, 12h, 30d or 4w"),
        (("verify", "shop:app", "--patience", "0"), "--patience"),
        (("bench", "shop:app", "--steps", "0"), "--steps"),
        (("completion", "tcsh"), "'tcsh' is not one of"),
        (("start", "shop:app", "hear", "-"), "give an object"),
    ],
)
def test_usage_of_the_others(
    prompt: Prompt, arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    complaint = prompt.complaint(2, *arguments)
    assert said in complaint
    assert "--help" in complaint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("why", "shop:app", "nobody"), "no instance 'nobody'"),
        (("send", "shop:app", "nobody", "c"), "no instance 'nobody'"),
        (("retry", "shop:app", "nothing"), "no dead event 'nothing'"),
        (("retry", "shop:app", "nobody", "--compensations"), "no instance 'nobody'"),
        (("publish", "shop:app", ""), "channel ''"),
        (("emit", "shop:app", "t", "--source", "/s", "--extension", "Bad=1"), "lower case letters"),
        (("outbox", "shop:app", "--cursor", "?"), "cursor"),
    ],
)
def test_failure_of_the_others(prompt: Prompt, arguments: tuple[str, ...], said: str) -> None:
    prompt("migrate", "shop:app")
    assert said in prompt.complaint(1, *arguments)


def test_what_would_run_nothing(prompt: Prompt) -> None:
    source = "from perdure import App, workflow\n\n@workflow\nasync def w() -> None: ...\n\n"
    prompt.write(source + 'app = App("sqlite:///shop.db", workflows=[w], worker=False)\n')
    ran = Shell(prompt.directory).run("run", "shop:app")
    assert ran.returncode == 1 and "worker=False" in ran.stderr and "Traceback" not in ran.stderr
    assert not (prompt.directory / "shop.db").exists()


def test_processes_have_no_memory_in_common(prompt: Prompt) -> None:
    prompt.write('from perdure import App\n\napp = App("memory://", workflows=[])\n')
    assert "sqlite:///" in prompt.complaint(2, "serve", "shop:app", "--workers", "2")


def test_a_start_in_memory_would_be_lost_at_once(prompt: Prompt) -> None:
    source = "from perdure import App, workflow\n\n@workflow\nasync def w() -> None: ...\n\n"
    prompt.write(source + 'app = App("memory://", workflows=[w])\n')
    for command in (("start", "shop:app", "w"), ("list", "shop:app")):
        assert "sqlite:///" in prompt.complaint(2, *command)
