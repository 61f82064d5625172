"""`perdure` within the test's own process, which is fast, with a module `shop` of its own."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import define

from perdure import App
from perdure_adapters.cli.program import run

SHOP = """
print("the shop is open")  # as modules do

from typing import Any

from perdure import App, TerminalError, activity, emit, receive, sleep, workflow

@activity
async def reserve(item: str) -> str:
    return f"shelf of {item}"

@reserve.compensation
async def release(item: str) -> None:
    if not up:
        raise TerminalError("the warehouse is down")

up = False

@workflow(version="3")
async def order(item: str) -> str:
    print("replayed")
    place = await reserve(item)
    note = await receive("notes", timeout=300)
    await emit("order.noted", {"note": note.data}, source="/shop", subject=item)
    return f"{place}: {note.data}"

@workflow
async def decline(item: str) -> None:
    await reserve(item)
    raise TerminalError("declined")

@workflow
async def hear(item: str) -> list[Any]:
    message = await receive("notes")
    return [message.data, message.metadata]

app = App(URL, workflows=[order, decline, hear], lease=1000)
"""


@define
class Said:
    """What a command has come to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


@define
class Prompt:
    directory: Path
    capsys: pytest.CaptureFixture[str]
    source: str = SHOP

    def open(self, url: str = "sqlite:///shop.db") -> None:
        self.write(self.source.replace("URL", repr(url)))

    def write(self, source: str) -> None:
        """Another version of the shop."""
        (self.directory / "shop.py").write_text(source)
        sys.modules.pop("shop", None)
        importlib.invalidate_caches()

    def change(self, old: str, new: str) -> None:
        text = (self.directory / "shop.py").read_text()
        assert old in text
        self.write(text.replace(old, new))

    def __call__(self, *arguments: str, code: int = 0) -> Said:
        self.capsys.readouterr()
        sys.modules.pop("shop", None)
        ran = run(arguments)
        out, err = self.capsys.readouterr()
        assert ran == code, (ran, out, err)
        return Said(ran, out, err)

    def complaint(self, code: int, *arguments: str) -> str:
        """The one line that it says."""
        said = self(*arguments, code=code)
        lines = [line for line in said.err.splitlines() if line != "the shop is open"]
        assert said.out == ""
        assert len(lines) == 1, said.err
        assert lines[0].startswith("perdure: ")
        return lines[0]

    def work(self, task: Callable[[App], Awaitable[None]]) -> None:
        """Do this with the shop's app as a worker."""
        sys.modules.pop("shop", None)
        app: App = importlib.import_module("shop").app

        async def go() -> None:
            async with app:
                await task(app)

        anyio.run(go)
        self.capsys.readouterr()

    def until(self, id: str, status: str) -> None:
        """Work until an instance has this status."""

        async def look(app: App) -> None:
            handle = await app.lookup(id)
            with anyio.fail_after(60):
                while (await handle.info()).status != status:
                    await anyio.sleep(0.01)

        self.work(look)
