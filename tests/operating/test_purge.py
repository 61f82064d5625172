"""Deleting what has ended; emitting from application code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from operating import orders
from operating.orders import ALL, found, settled, until
from perdure import App, Event, InvalidInput


async def test_only_what_has_ended_is_deleted(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        for number in range(3):
            handle = await app.start(orders.note.options(id=f"n{number}"), "desk")
            await handle.send("notes", "x")
        for number in range(3):
            await until(app, f"n{number}", lambda info: info.status == "completed")
        await app.start(orders.note.options(id="live"), "desk")
        await settled(app, "live")
        assert await app.purgeable(older_than=timedelta(days=1)) == await app.purge(older_than=86_400) == 0
        assert await app.purgeable(older_than=0) == 3
        assert [await app.purge(older_than=0, limit=2) for _ in range(3)] == [2, 1, 0]
        assert [info.instance_id for info in await app.find()] == ["live"]
        for bad in (-1, "1d"):
            with pytest.raises(InvalidInput, match="older_than"):
                await app.purge(older_than=bad)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="limit"):
            await app.purge(older_than=1, limit=0)


class Collector:
    def __init__(self) -> None:
        self.events: list[Event[Any]] = []

    async def publish(self, event: Event[Any], /) -> None:
        self.events.append(event)


async def test_an_event_from_application_code(url: str) -> None:
    async with App(url, workflows=ALL, worker=False) as client:
        when = datetime(2030, 1, 2, tzinfo=UTC)
        id = await client.emit("a", {"n": 1}, source="/s", subject="o", id="e1", time=when, tenant="x")
        assert id == "e1"
        assert len(await client.emit("b", None, source="/s")) == 36
        rows = list(await client.outbox(status="pending"))
        assert [row.event.type for row in rows] == ["b", "a"]
        event = rows[1].event
        assert (event.id, event.source, event.subject, event.time, event.data) == ("e1", "/s", "o", when, {"n": 1})
        assert dict(event.extensions) == {"tenant": "x"}
    publisher = Collector()
    async with App(url, workflows=ALL, publisher=publisher) as app:
        await app.emit("c", b"\0", source="/s", subject="o")

        async def out() -> bool:
            return len(publisher.events) == 3

        await found(out)
        assert [event.type for event in publisher.events if event.subject == "o"] == ["a", "c"]


async def test_what_is_no_event(anyio_backend: object) -> None:
    async with App("memory://", workflows=ALL) as app:
        for type, options in (("", {}), ("a", {"subject": ""}), ("a", {"Bad": 1}), ("a", {"id": ""})):
            with pytest.raises(InvalidInput):
                await app.emit(type, 1, source="/s", **options)
        with pytest.raises(InvalidInput):
            await app.emit("a", object(), source="/s")
        with pytest.raises(InvalidInput):
            await app.emit("a", 1, source="")
        assert len(await app.outbox()) == 0
