"""Each request is a step that is recorded once."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypedDict

import anyio
import pytest

from examples.patient import lapse
from llm import journey
from llm.model_server import ModelServer, says
from perdure import App, Workflow, receive, workflow
from perdure.identity import time_of_day
from perdure.testing import run
from perdure.testing.crashing import _DyingStore
from perdure.testing.jumping import JumpingClock
from perdure.testing.memory import Database, MemoryStore
from perdure.testing.stage import Crashed, stage
from perdure_adapters.llm import LLM

llm = LLM("openai", model="small")
TESTS = Path(__file__).parents[1]

pytestmark = pytest.mark.all_pairs


async def test_every_kind_of_request(server: ModelServer) -> None:
    server.answer = journey.answer
    journey.used.clear()
    assert await run(journey.journey, "desks") == journey.RESULT
    assert sorted(journey.used) == ["desk", "lamp", "rug"]
    assert len(server.seen) == journey.REQUESTS
    assert set(server.keys.values()) == {1}
    assert "" not in server.keys


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_what_is_recorded_is_not_asked_again(server: ModelServer, before: bool) -> None:
    """The process dies directly before, or directly after, each commit in turn."""
    server.answer = journey.answer
    known = journey.journey.options(id="journey")
    for place in range(1, 100):
        server.seen.clear()
        journey.used.clear()
        clock = JumpingClock(time_of_day())
        dying = _DyingStore(Database(), place, before=before)
        try:
            async with stage(known, dying, clock, dying.crash) as app:
                await (await app.start(known, "desks")).result()
        except Crashed:
            dying.database.members.clear()
            survivor = MemoryStore("memory://", "default", database=dying.database)
            async with stage(known, survivor, clock) as app:
                if survivor.database.instances:
                    result = await app.handle(known, "journey").result()
                else:
                    result = await (await app.start(known, "desks")).result()
            assert result == journey.RESULT
            keys = server.keys
            assert len(keys) == journey.REQUESTS  # one for each step
            assert sum(keys.values()) - len(keys) <= before  # the one whose answer was not recorded
            tools = Counter(journey.used)
            assert tools.keys() == {"desk", "lamp", "rug"}
            assert tools.total() <= 6 - (not before)  # those that were under way, but not the one that was recorded
        else:
            assert place > journey.REQUESTS
            return
    raise AssertionError("it never ended")


@contextmanager
def processed(url: str, backend: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "llm.journey", url, backend]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_a_killed_process_goes_on(server: ModelServer, tmp_path: Path, anyio_backend_name: str) -> None:
    """Killed in the middle of a chat, with the tools' results on record, while the model answers."""
    database = tmp_path / "perdure.db"
    url = f"sqlite:///{database}"
    held = journey.Holding(journey.answer)
    server.answer = held
    with processed(url, anyio_backend_name) as first:
        await anyio.to_thread.run_sync(held.reached.wait, 60)
        assert held.reached.is_set()
        first.kill()
        assert first.stdout is not None
        before = first.stdout.read()
    lapse(database)
    held.go_on.set()
    journey.used.clear()
    async with App(url, workflows=[journey.journey]) as app:
        assert await app.handle(journey.journey, "journey").result(timeout=60) == journey.RESULT
    assert journey.used == []  # no tool is used again
    assert sorted(line for line in before.splitlines() if line.startswith("tool")) == [
        "tool count lamp",
        "tool look_up desk",
        "tool look_up rug",
    ]
    keys = server.keys
    assert len(keys) == journey.REQUESTS  # one key for each step
    assert sorted(keys.values()) == [1] * (journey.REQUESTS - 1) + [2]
    assert keys[held.key] == 2  # the one that was under way
    with closing(sqlite3.connect(database)) as connection:
        (steps,) = connection.execute("select count(*) from perdure_events where kind = 'StepCompleted'").fetchone()
    assert steps == journey.REQUESTS + 3


class City(TypedDict):
    name: str


class LargeCity(TypedDict):
    name: str
    people: int


def told(kind: type[Any]) -> Workflow[[], list[str]]:
    @workflow(name="told")
    async def cities() -> list[str]:
        found = [(await llm.call_parse(kind, f"a city in {where}"))["name"] for where in ("Germany", "France")]
        await receive("go on")
        return found

    return cities


async def test_another_answer_is_not_taken_for_a_correction(server: ModelServer, sqlite_url: str) -> None:
    """Whether there is a correction depends on today's type: code and history disagree, and nothing is mixed up."""
    before, after = told(City), told(LargeCity)
    server.answer = lambda seen: says(json.dumps({"name": "Ulm" if "Germany" in seen.said else "Paris"}))
    async with App(sqlite_url, workflows=[before]) as app:
        handle = await app.start(before.options(id="x"))
        await until_waiting(app)
    async with App(sqlite_url, workflows=[after]) as app:
        await app.handle("told", "x").send("go on", None)
        with anyio.fail_after(60):
            while (await app.handle("told", "x").info()).status != "stuck":
                await anyio.sleep(0.01)
    async with App(sqlite_url, workflows=[before]) as app:
        assert await app.handle("told", handle.id).result(timeout=60) == ["Ulm", "Paris"]
    assert len(server.seen) == 2


async def until_waiting(app: App) -> None:
    with anyio.fail_after(60):
        while (await app.handle("told", "x").info()).status != "waiting":
            await anyio.sleep(0.01)
