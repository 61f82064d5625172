"""A partition that is lost and regained while messages are read: none overtakes another."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pytest

from leases.robbing import robbed
from perdure import App, receive, workflow
from perdure.ports import Request
from perdure.testing.memory import MemoryStore


@workflow
async def collect(last: str) -> list[str]:
    said: list[str] = []
    while not said or said[-1] != last:
        said.append((await receive("in", str)).data)
    return said


class Robbed(MemoryStore):
    """Somebody else has all partitions for a moment, before the second page is read."""

    app: App
    done = False

    async def requests(self, partitions: Sequence[int], limit: int, after: int) -> Sequence[Request]:
        if after and not self.done:
            self.done = True
            await robbed(self.app, self)
        return await super().requests(partitions, limit, after)


async def test_messages_are_not_overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perdure.worker.inbox._PAGE", 3)
    url = f"memory://{uuid.uuid4().hex}"
    said = [*map(str, range(10)), "end"]
    async with App(url, workflows=[collect], worker=False) as client:
        collecting = await client.start(collect, "end")
        for what in said:
            await collecting.send("in", what)
    app = App(url, workflows=[collect], lease=0.3)
    stores: list[Robbed] = []

    def make(url: str, service: str) -> Robbed:
        stores.append(Robbed(url, service))
        stores[-1].app = app
        return stores[-1]

    app._make_store = make
    async with app:
        assert await app.handle(collect, collecting.id).result(timeout=60) == said
    assert stores[0].done
