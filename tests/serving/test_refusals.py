"""What `perdure serve` does not do, and what it says then."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from perdure_adapters.cli.program import run

MODULE = """
from perdure import App, workflow

@workflow
async def nothing() -> None: ...

app = App("sqlite:///shop.db", workflows=[nothing])

async def asgi(scope, receive, send): ...
"""

SAFE = "a-token-of-some-length"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a module that is imported anew in each test, and some secrets."""
    (tmp_path / "little_shop.py").write_text(MODULE)
    (tmp_path / "token").write_text(f"{SAFE}\n")
    (tmp_path / "short").write_text("secret\n")
    (tmp_path / "empty").write_text("\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("PERDURE_TOKEN", raising=False)
    monkeypatch.delitem(sys.modules, "little_shop", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--bind", "0.0.0.0:0"], "can be reached from other machines"),
        (["--bind", "127.0.0.1:0", "--bind", "0.0.0.0:0", "--workers", "2"], "can be reached from other machines"),
        (["--bind", "8000"], "is no address; give HOST:PORT"),
        (["--bind", "::1:8000"], "is no address; give HOST:PORT"),
        (["--bind", "localhost:99999"], "is no address; give HOST:PORT"),
        (["--token-file", "short"], "can be guessed"),
        (["--token-file", "empty"], "is empty"),
        (["--hmac-secret-file", "missing"], "cannot read missing: No such file"),
        (["--token-file", "token", "--hmac-secret-file", "token"], "give one of"),
        (["--token-file", "token", "--insecure-no-auth"], "leave out one"),
        (["--authenticate", "little_shop:nobody"], "has no 'nobody'"),
        (["--asgi", "little_shop:app"], "name an ASGI application"),
        (["--asgi", "little_shop:asgi", "--token-file", "token"], "sets up its ingress itself"),
        (["--certfile", "cert.pem"], "give both"),
    ],
)
def test_wrong_usage(options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "little_shop:app", *options]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and said.err.startswith("perdure: ")
    assert complaint in said.err


def test_a_token_in_the_environment_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PERDURE_TOKEN", "secret")
    assert run(["serve", "little_shop:app"]) == 2
    assert "can be guessed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bind", "complaint"),
    [
        ("192.0.2.1:0", "this machine has no such address"),
        ("unix:missing/socket", "there is no such directory"),
        ("fd://999", "no such file descriptor"),
    ],
)
def test_no_place_to_listen(bind: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "little_shop:app", "--bind", bind, "--insecure-no-auth"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"perdure: cannot listen on {bind}: " in said and complaint in said


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["serve", "little_shop:app", "--bind", f"127.0.0.1:{taken.getsockname()[1]}"]) == 1
    assert "somebody listens there already" in capsys.readouterr().err


def test_a_host_that_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert run(["serve", "little_shop:app", "--bind", "shop.example:80"]) == 1
    assert "there is no such host" in capsys.readouterr().err
