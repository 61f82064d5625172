"""kill -9 at each step boundary: nothing accepted is lost, nothing recorded is done again."""

from __future__ import annotations

import signal
from pathlib import Path

import anyio
import pytest

from faults import effects, killing
from faults.database import Database, answered, check_streams
from faults.journey import expected, journey
from faults.processes import Crew, crew, side_by_side, until
from perdure import App

#: The journey's commits are: started, pack, label, weigh, photograph (or both at once), call that
#: failed, call, stamp, timer and end. A ninth there may be or not, so it is no place to be killed.
_COMMITS = range(1, 9)
_STEPS = range(1, 8)


def _places(backend: str) -> list[str]:
    """Each place once, half of them with workers under the one backend, half under the other."""
    if backend == "asyncio":
        return [f"before:{n}" for n in _COMMITS] + [f"step:{n}" for n in _STEPS]
    return [f"within:{n}" for n in _COMMITS] + [f"after:{n}" for n in _COMMITS]


async def test_a_kill_at_each_boundary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend_name: str
) -> None:
    failures: dict[str, BaseException] = {}
    limiter = anyio.CapacityLimiter(3)

    async def one(place: str) -> None:
        directory = tmp_path / place.replace(":", "-")
        directory.mkdir()
        with crew(directory, anyio_backend_name) as workers:
            workers.effects = tmp_path / "effects"  # this process, too, logs into only one file
            try:
                async with limiter:
                    await _kill(workers, place)
                await _take_over(workers, place)
            except Exception as error:
                failures[place] = error

    (tmp_path / "effects").touch()
    monkeypatch.setenv("PERDURE_EFFECTS", str(tmp_path / "effects"))
    async with anyio.create_task_group() as group:
        for place in _places(anyio_backend_name):
            group.start_soon(one, place)
    assert not failures


def _id(place: str) -> str:
    return place.replace(":", "-")


async def _kill(workers: Crew, place: str) -> None:
    worker = workers.worker("journey", start=(f"journey:{_id(place)}:[1]",), environment={killing.VARIABLE: place})
    assert await worker.ended() == -signal.SIGKILL, worker.said
    workers.bury(worker)
    if place in ("before:1", "within:1", "after:1"):
        assert worker.accepted() == []
    elif place != "step:1":  # the first step may begin before the line is out
        assert worker.accepted() == [_id(place)]


async def _take_over(workers: Crew, place: str) -> None:
    database = Database(workers.database)
    before = database.events()
    check_streams(before)
    done = answered(before)
    log = [effect for effect in effects.read(workers.effects) if effect.instance_id == _id(place)]
    async with App(workers.url, workflows=[journey]) as app:
        handle = app.handle(journey, _id(place))
        if place in ("before:1", "within:1"):
            assert before == [] and database.statuses() == {}
            return
        assert await handle.result(timeout=60) == expected(1)
    after = database.events()
    assert after[: len(before)] == before
    check_streams(after)
    again = [e for e in effects.read(workers.effects) if e.instance_id == _id(place)][len(log) :]
    for effect in again:
        assert (effect.key, 0) not in done and (effect.key, effect.attempt) not in done, effect
    keys = {(effect.step, effect.key) for effect in [*log, *again]}
    assert len(keys) == 6, "a repeated step has the key of its first time"
    ends = [effect.step for effect in [*log, *again] if effect.phase == "end"]
    assert set(ends) == {"pack", "label", "weigh", "photograph", "call", "stamp"}
    # Besides the attempt that is meant to fail, what was under way at the kill is all there is to repeat.
    assert len(ends) <= 7 + 2


@side_by_side
async def test_a_killer_activity_comes_to_an_end(tmp_path: Path, anyio_backend_name: str) -> None:
    """Each attempt takes its worker down: after some deaths the step fails, rather than go on for ever."""
    with crew(tmp_path, anyio_backend_name) as workers:
        database = Database(workers.database)
        start: tuple[str, ...] = ("doomed:d:[]",)
        for _ in range(9):
            worker = workers.worker("killer", start=start)
            start = ()
            await until(
                lambda: worker.returncode is not None or database.status("d") == "failed",
                f"a death: {worker.said}",
            )
            if database.status("d") == "failed":
                break
            workers.bury(worker)
        stream = database.events("d")
        check_streams(stream)
        assert database.status("d") == "failed", [event.kind for event in stream]
        assert "died" in str(stream[-1].data)
        assert 3 <= effects.count(workers.effects, "start", "kill") <= 5
