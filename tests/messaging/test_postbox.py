"""What application code sends at once goes out together."""

from __future__ import annotations

import anyio
import pytest

from perdure.errors import StoreError, StoreUnavailable
from perdure.mail.postbox import Postbox
from perdure.ports import Mail, Post
from perdure.testing.memory import MemoryStore


class Slow(MemoryStore):
    """Counts transactions; refuses those that hold something bad, and all while it is away."""

    def __init__(self) -> None:
        super().__init__("memory://", "default")
        self.sent: list[list[str]] = []
        self.away = False
        self.gate = anyio.Event()
        self.gate.set()

    async def post(self, mail: Mail) -> None:
        await self.gate.wait()
        if self.away:
            raise StoreUnavailable("away", unknown=True)
        if any(post.data == "bad" for post in mail.posts):
            raise StoreError("bad")
        self.sent.append([post.data for post in mail.posts])


async def _post(box: Postbox, what: str, failed: list[tuple[str, str]]) -> None:
    try:
        await box.post(Mail(posts=[Post("i", "message", what)]))
    except StoreError as error:
        failed.append((what, str(error)))


async def test_what_comes_meanwhile_goes_into_the_next_transaction() -> None:
    store, failed = Slow(), list[tuple[str, str]]()
    store.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        box = Postbox(store, lambda: None)
        group.start_soon(box.run)
        async with anyio.create_task_group() as senders:
            for number in range(100):
                senders.start_soon(_post, box, str(number), failed)
            await anyio.wait_all_tasks_blocked()
            store.gate.set()
        group.cancel_scope.cancel()
    assert failed == []
    assert sorted(int(one) for batch in store.sent for one in batch) == list(range(100))
    assert len(store.sent) <= 2


async def test_one_that_is_refused_spoils_no_other() -> None:
    store, failed = Slow(), list[tuple[str, str]]()
    async with anyio.create_task_group() as group:
        box = Postbox(store, lambda: None)
        group.start_soon(box.run)
        async with anyio.create_task_group() as senders:
            for what in ("first", "a", "bad", "b"):
                senders.start_soon(_post, box, what, failed)
        group.cancel_scope.cancel()
    assert failed == [("bad", "bad")]
    assert sorted(one for batch in store.sent for one in batch) == ["a", "b", "first"]


async def test_an_outage_is_told_to_all_and_the_end_leaves_nobody_waiting() -> None:
    store, failed = Slow(), list[tuple[str, str]]()
    store.away = True
    async with anyio.create_task_group() as last, anyio.create_task_group() as group:
        box = Postbox(store, lambda: None)
        group.start_soon(box.run)
        async with anyio.create_task_group() as senders:
            for what in ("a", "b"):
                senders.start_soon(_post, box, what, failed)
        assert sorted(failed) == [("a", "away"), ("b", "away")]
        store.away = False
        store.gate = anyio.Event()
        last.start_soon(_post, box, "c", failed)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert len(failed) == 3 and failed[2][0] == "c"
    with pytest.raises(StoreUnavailable, match="closing"):
        await box.post(Mail(posts=[Post("i", "message", "d")]))
