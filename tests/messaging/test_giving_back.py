"""A message that was taken from a queue for somebody who has no use for it any more goes back to its old place."""

from __future__ import annotations

import pytest

from messaging.test_competing import takes
from messaging.watching import emptied, happened, rows, until
from perdure import App, WorkflowCancelled, activity, race, receive, send, subscribe, workflow
from perdure.ports import Request
from perdure.testing.memory import MemoryStore

enough: list[bool] = []


async def said_enough() -> bool:
    return bool(enough)


@activity
async def patience() -> None:
    await until(said_enough, "the test has had enough")


@workflow
async def gives_up() -> str:
    """Waits for a task, but no longer than the test likes; and is still there afterwards."""
    await subscribe("tasks", mode="competing")
    if (await race(task=receive("tasks"), end=patience())).label == "task":
        return "something came"
    await send("witness", "gave up", None)
    await receive("go")
    return "nothing came"


@workflow
async def witness() -> None:
    await receive("gave up")


class Slow:
    """Messages from queues stay on their way to the instance they were given to, until they are passed on."""

    def __init__(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        worker = app._resources().worker
        assert worker is not None
        self._give = worker.parts.queues._given
        self.late: list[Request] = []
        monkeypatch.setattr(worker.parts.queues, "_given", self.late.append)
        monkeypatch.setattr(worker.parts.inbox, "took", lambda request: True)
        monkeypatch.setattr(worker.parts.inbox, "_read", _nothing)
        monkeypatch.setattr(worker.parts.inbox, "drained", dict(worker.parts.dispatcher.epochs))
        self._undo = monkeypatch.undo

    async def taken(self) -> bool:
        return bool(self.late)

    def go_on(self) -> None:
        self._undo()
        for request in self.late:
            self._give(request)


async def _nothing() -> None: ...


async def test_a_cancelled_consumer_gives_back_what_was_on_its_way(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with App(url, workflows=[takes]) as app:
        slow = Slow(app, monkeypatch)
        handle = await app.start(takes, 1)
        await happened(handle, "Subscribed")
        await app.publish("tasks", 0)
        await _until_taken(slow)
        for number in (1, 2):
            await app.publish("tasks", number)
        await handle.cancel()
        slow.go_on()
        with pytest.raises(WorkflowCancelled):
            await handle.result(timeout=60)
        assert sorted(await (await app.start(takes, 3)).result(timeout=60)) == [0, 1, 2]
        await emptied(app, "inbox")


async def test_a_consumer_that_gave_up_gives_back_in_the_old_place(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    enough.clear()
    async with App(url, workflows=[takes, gives_up, witness]) as app:
        seen = await app.start(witness.options(id="witness"))
        slow = Slow(app, monkeypatch)
        handle = await app.start(gives_up)
        await happened(handle, "Subscribed")
        await app.publish("tasks", 0)
        await _until_taken(slow)
        for number in (1, 2):
            await app.publish("tasks", number)
        enough.append(True)
        await happened(handle, "MessageSent")
        slow.go_on()
        await seen.result(timeout=60)
        await _until_queued(app, 3)
        assert await (await app.start(takes, 3)).result(timeout=60) == [0, 1, 2]
        await handle.send("go", None)
        assert await handle.result(timeout=60) == "nothing came"


async def test_what_was_on_its_way_when_the_worker_stopped_arrives(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with App(url, workflows=[takes]) as app:
        slow = Slow(app, monkeypatch)
        handle = await app.start(takes, 3)
        await happened(handle, "Subscribed")
        await app.publish("tasks", 0)
        await _until_taken(slow)
    monkeypatch.undo()
    async with App(url, workflows=[takes]) as app:
        for number in (1, 2):
            await app.publish("tasks", number)
        # It may be given the next one before its new worker has looked into its inbox.
        assert sorted(await app.handle(takes, handle.id).result(timeout=60)) == [0, 1, 2]


async def _until_taken(slow: Slow) -> None:
    await until(slow.taken, "a message was given to somebody")


async def _until_queued(app: App, count: int) -> None:
    async def queued() -> bool:
        store = app._resources().store
        if isinstance(store, MemoryStore):
            return sum(row.partition == -1 for row in store.database.inbox.values()) == count
        name = "`partition`" if app.url.startswith("mysql") else '"partition"'
        return await rows(app, "inbox", f"{name} = -1") == count

    await until(queued, f"{count} messages in queues")
