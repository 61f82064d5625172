"""Log records say which instance they are about."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from hooks.scenarios import _two_versions
from messaging.watching import rests, until
from perdure import App, LogFilter, activity, now, receive, recur, session, workflow

logger = logging.getLogger("shop")

LABELS = ("instance_id", "workflow", "run", "step", "attempt", "is_replaying")


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def said(self, text: str) -> list[dict[str, Any]]:
        found = [record for record in self.records if record.getMessage().startswith(text)]
        return [{name: getattr(record, name) for name in LABELS} for record in found]


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    handler.addFilter(LogFilter())
    yield from _attached(handler)


@pytest.fixture
def kept_once() -> Iterator[Kept]:
    handler = Kept()
    handler.addFilter(LogFilter(replayed=False))
    yield from _attached(handler)


def _attached(handler: Kept) -> Iterator[Kept]:
    root, level = logging.getLogger(), logger.level
    root.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    logger.setLevel(level)


@activity
async def packs() -> None:
    logger.info("packing")
    await anyio.lowlevel.checkpoint()
    logger.info("packed")


@activity
def ships() -> None:
    logger.info("shipping")


@workflow
async def fulfils(again: bool) -> None:
    logger.info("begins")
    await packs()
    await ships()
    logger.info("ends")
    if again:
        await recur(False)


@workflow
async def naps() -> None:
    logger.info("before at %s", now())
    await receive("go")
    logger.info("after")


async def test_workflows_activities_and_threads(kept: Kept) -> None:
    async with App("memory://", workflows=[fulfils]) as app:
        handle = await app.start(fulfils, True)
        await handle.result()
        logger.info("outside")
    same = {"instance_id": handle.id, "workflow": "fulfils"}
    assert kept.said("begins") == [
        {**same, "run": 1, "step": 0, "attempt": None, "is_replaying": False},
        {**same, "run": 2, "step": 0, "attempt": None, "is_replaying": True},  # it was committed before it was loaded
    ]
    for run, (packing, packed, shipping, ends) in enumerate(
        zip(*map(kept.said, ("packing", "packed", "shipping", "ends")), strict=True), 1
    ):
        assert packing == packed == {**same, "run": run, "step": 1, "attempt": 1, "is_replaying": False}
        assert shipping == {**packing, "step": 2}
        assert ends == {**shipping, "attempt": None}
    assert kept.said("outside") == [dict.fromkeys(LABELS)]


async def evicted(url: str, kept: Kept) -> int:
    """How many came back."""
    async with App(url, workflows=[naps], max_resident=1) as app:
        handles = [await app.start(naps) for _ in range(5)]
        for handle in handles:
            await rests(handle)
        for handle in handles:  # the first one's turn finds the others idle
            await handle.send("go", None)
            await handle.result(timeout=60)
    assert len(kept.said("after")) == 5 and not any(one["is_replaying"] for one in kept.said("after"))
    return len([one for one in kept.said("before") if one["is_replaying"]])


async def test_what_is_replayed_says_so(kept: Kept) -> None:
    assert await evicted(f"memory://{uuid.uuid4().hex}", kept) > 0
    assert len([one for one in kept.said("before") if not one["is_replaying"]]) == 5


async def test_what_is_replayed_can_be_silenced(kept_once: Kept) -> None:
    assert await evicted(f"memory://{uuid.uuid4().hex}", kept_once) == 0
    assert len(kept_once.said("before")) == 5


async def test_perdure_says_itself_what_it_speaks_of(kept: Kept, url: str) -> None:
    before, after = _two_versions()

    @activity
    async def calls_back() -> None:
        async with session() as db:
            db.after_commit(lambda: 1 / 0)

    @workflow
    async def writes() -> None:
        await calls_back()

    durable = not url.startswith("memory:")
    async with App(url, workflows=[before, writes]) as app:
        handle = await app.start(before)
        await rests(handle)
        if durable:
            writing = await app.start(writes)
            await writing.result(timeout=60)
    async with App(url, workflows=[after]) as app:
        await app.handle(after, handle.id).send("go", 1)

        async def spoken_of() -> bool:
            return bool(kept.said(f"instance {handle.id!r} is stuck"))

        await until(spoken_of, "it is said to be stuck")
    (stuck,) = kept.said(f"instance {handle.id!r} is stuck")
    assert (stuck["instance_id"], stuck["workflow"], stuck["run"]) == (handle.id, "changing", 1)
    if durable:
        (called,) = kept.said("after_commit of activity 'calls_back' failed")
        assert (called["instance_id"], called["step"], called["attempt"]) == (writing.id, 1, 1)


async def test_what_nobody_has_run_yet_is_not_silenced(kept_once: Kept) -> None:
    """A next run, and an instance that another process has started, are loaded before they run for the first time."""
    name = f"memory://{uuid.uuid4().hex}"
    async with App(name, workflows=[fulfils], worker=False) as client:
        handle = await client.start(fulfils, True)
        async with App(name, workflows=[fulfils]):
            await handle.result(timeout=60)
    for text in ("begins", "ends"):
        assert [(one["run"], one["instance_id"]) for one in kept_once.said(text)] == [(1, handle.id), (2, handle.id)]


def test_a_record_of_somebody_elses_keeps_what_it_has() -> None:
    record = logging.LogRecord("shop", logging.INFO, __file__, 1, "mine", (), None)
    record.__dict__["instance_id"] = "42"
    assert LogFilter().filter(record)
    assert (record.__dict__["instance_id"], record.__dict__["workflow"]) == ("42", None)
