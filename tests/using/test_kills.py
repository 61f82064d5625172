"""kill -9 of callers and of workers: what was committed is done once, what was not leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import anyio
import pytest

from effects.rows import rows
from faults.processes import until
from perdure import App
from using.connections import caller
from using.test_using import waiting
from using.workflows import ALL, collect, run

_TESTS = Path(__file__).parents[1]

CALLERS, TRANSACTIONS = 10, 12

pytestmark = [pytest.mark.parametrize("anyio_backend", ["asyncio"]), pytest.mark.one_store]


@contextmanager
def process(script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    path = os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])
    started = subprocess.Popen(
        [sys.executable, "-m", f"using.{script}", *arguments], env={**os.environ, "PYTHONPATH": path}
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


async def test_a_caller_that_is_killed(own_url: str) -> None:
    async with App(own_url, workflows=ALL, worker=False):
        """The tables are made."""
    with process("dying", own_url) as dying:
        assert await anyio.to_thread.run_sync(dying.wait, 120) == 0
    async with App(own_url, workflows=ALL) as app:
        assert await app.handle(run, "run after").result(timeout=60) == "after"
        assert await app.handle(collect, "collect after").result(timeout=60) == [str(n) for n in range(10)]
        await until(lambda: waiting(own_url) == 0)
        assert {one.instance_id for one in await app.find()} == {"run after", "collect after"}
        assert [one.event.data for one in await app.outbox()] == ["after"]
    found = await rows(own_url)
    assert found[0] == "after"
    assert [one.split()[:2] for one in found[1:]] == [["ran", "after"]]


async def test_many_callers_and_a_worker_that_is_killed(own_url: str) -> None:
    """Exactly what was committed is done: each start once, each message once and in its caller's order."""
    committed: dict[int, list[str]] = defaultdict(list)
    done = 0

    async with App(own_url, workflows=ALL, worker=False, partitions=8) as app:
        with ExitStack() as stack:
            killed, _ = (stack.enter_context(process("serving", own_url, one)) for one in ("asyncio", "trio"))

            async def calls(number: int) -> None:
                nonlocal done
                chance = Random(number)
                async with caller(own_url, ("driver", "session")[number % 2]) as mine:
                    for turn in range(TRANSACTIONS):
                        what = f"{number:02}-{turn:02}"
                        await mine.insert(what)
                        using = app.using(mine.given)
                        await using.start(run.options(id=what), what)
                        await using.start(collect.options(id=f"c{number}"), "end")
                        for part in "ab":
                            await using.send(f"c{number}", "in", what + part)
                        if chance.random() < 0.3:
                            await mine.rollback()
                        else:
                            await mine.commit()
                            committed[number].append(what)
                        done += 1
                        if done == CALLERS * TRANSACTIONS // 2:
                            killed.kill()
                    await mine.insert(f"end {number}")
                    await app.using(mine.given).send(f"c{number}", "in", "end")
                    await mine.commit()

            async with anyio.create_task_group() as group:
                for number in range(CALLERS):
                    group.start_soon(calls, number)

            with anyio.fail_after(150):
                for number in range(CALLERS):
                    said = await app.handle(collect, f"c{number}").result()
                    assert said == [*(what + part for what in committed[number] for part in "ab"), "end"]
                wanted = {what for some in committed.values() for what in some}
                for what in wanted:
                    assert await app.handle(run, what).result() == what
            await until(lambda: waiting(own_url) == 0)
        found = {one.instance_id for one in await app.find(workflow="run", limit=1000)}
        assert found == wanted
    ran = [row.split()[1] for row in await rows(own_url) if row.startswith("ran ")]
    assert sorted(ran) == sorted(wanted)
