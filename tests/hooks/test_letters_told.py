"""What is written on a caller's own connection is told by whoever carries it out, once it is committed."""

from __future__ import annotations

import aiosqlite
import pytest

from hooks import tasks
from hooks.listening import TRACE, Listener
from perdure import App, InstanceNotFound

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])  # aiosqlite's


async def test_by_the_worker(sqlite_url: str) -> None:
    listener = Listener()
    async with (
        App(sqlite_url, workflows=tasks.WORKFLOWS, hooks=[listener]) as app,
        aiosqlite.connect(sqlite_url.removeprefix("sqlite:///")) as mine,
    ):
        gone = await app.using(mine).start(tasks.calculates, 1)
        await mine.rollback()
        handle = await app.using(mine).start(tasks.listens)
        await app.using(mine).send(handle, "box", 1)
        await mine.commit()
        await listener.until("message_received")
        assert listener.of("message_sent")[0].to == handle.id
        with pytest.raises(InstanceNotFound):
            await gone.info()
    assert [(one.instance_id, one.trace) for one in listener.of("workflow_started")] == [(handle.id, TRACE)]
    assert len(listener.of("message_sent")) == 1


async def test_by_a_client_that_asks_for_it(sqlite_url: str) -> None:
    listener = Listener()
    async with (
        App(sqlite_url, workflows=tasks.WORKFLOWS, hooks=[listener], worker=False) as app,
        aiosqlite.connect(sqlite_url.removeprefix("sqlite:///")) as mine,
    ):
        handle = await app.using(mine).start(tasks.calculates, 1)
        await mine.commit()
        await handle.info()
    (started,) = listener.of("workflow_started")
    assert (started.instance_id, started.here, started.trace) == (handle.id, False, TRACE)
