"""The outbox, and those who empty it: at least once, in order, and nobody waits for somebody else's trouble."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from messaging.watching import until
from perdure import (
    App,
    Event,
    InvalidInput,
    TerminalError,
    Unpublished,
    UsageError,
    Workflow,
    activity,
    emit,
    fan_out,
    workflow,
)
from perdure.worker import relay


class Broker:
    """Takes everything, but for what `trouble` says of an event."""

    max_age: float | None = None

    def __init__(self) -> None:
        self.got: list[Event[Any]] = []
        self.tried: dict[str, int] = {}
        self.trouble: dict[str, list[BaseException]] = {}
        self.endless: dict[str, BaseException] = {}
        self.slow: dict[str, float] = {}
        self.open = 0

    async def __aenter__(self) -> Broker:
        self.open += 1
        return self

    async def __aexit__(self, *error: object) -> None:
        self.open -= 1

    async def publish(self, event: Event[Any], /) -> None:
        assert self.open
        self.tried[event.id] = self.tried.get(event.id, 0) + 1
        if event.subject in self.slow:
            await anyio.sleep(self.slow[event.subject])
        else:
            await anyio.lowlevel.checkpoint()
        if self.trouble.get(event.id):
            raise self.trouble[event.id].pop(0)
        if event.subject in self.endless:
            raise self.endless[event.subject]
        self.got.append(event)

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.got]


@activity
async def tells(id: str, subject: str | None) -> None:
    await emit("told", {"id": id}, source="/test", subject=subject, id=id, tenant="t1", urgent=True, level=3)


@workflow
async def talks(ids: list[str], subject: str | None) -> None:
    for id in ids:
        await emit("said", id, source="/test", subject=subject, id=id)


@workflow
async def has_told(ids: list[str], subject: str | None) -> None:
    async def tell(id: str) -> None:
        await tells(id, subject)

    await fan_out(tell, ids, width=5)


@workflow
async def sends_bytes() -> None:
    await emit("raw", b"\x00\xff{", source="/test")
    await emit("none", None, source="/test")


@workflow
async def misnames(bad: str) -> str:
    try:
        if bad == "extension":
            await emit("said", 1, source="/test", Bad_Name="x")
        elif bad == "taken":
            await emit("said", 1, source="/test", datacontenttype="text/xml")
        elif bad == "source":
            await emit("said", 1, source="")
        elif bad == "data":
            await emit("said", object(), source="/test")
        else:
            await emit("said", 1, source="/test", subject="")
    except InvalidInput as error:
        return str(error)
    return "taken"


ALL: list[Workflow[..., Any]] = [talks, has_told, misnames, sends_bytes]


def owned(app: App) -> int:
    """How many partitions its worker has."""
    worker = app._resources().worker
    assert worker is not None
    return len(worker.parts.dispatcher.epochs)


async def published(app: App, count: int) -> None:
    async def seen() -> bool:
        rows = await app.outbox(limit=1000)
        return [row.status for row in rows].count("published") == count

    await until(seen, f"{count} published")


async def test_what_is_emitted_is_published_once_and_in_order(url: str) -> None:
    broker = Broker()
    async with App(url, workflows=ALL, publisher=broker) as app:
        ids = [f"e{number:02}" for number in range(30)]
        await (await app.start(talks, ids, "s1")).result(timeout=60)
        await (await app.start(has_told, [f"t{number}" for number in range(10)], None)).result(timeout=60)
        await published(app, 40)
        assert [id for id in broker.ids if id.startswith("e")] == ids
        assert sorted(broker.ids) == sorted([*ids, *(f"t{number}" for number in range(10))])
        (told,) = [event for event in broker.got if event.id == "t3"]
        assert (told.type, told.source, told.subject, told.data) == ("told", "/test", None, {"id": "t3"})
        assert dict(told.extensions) == {"tenant": "t1", "urgent": True, "level": 3}
        assert told.time.tzinfo is not None
    assert broker.open == 0


async def test_one_that_fails_goes_first_when_it_comes_again_and_holds_nobody_else_up(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Picky(Broker):
        async def publish(self, event: Event[Any], /) -> None:
            if event.id == "a1" and not self.trouble["a1"] and "b2" not in self.ids:
                self.trouble["a1"].append(OSError("not before the others"))
            await super().publish(event)

    monkeypatch.setattr(relay, "_FIRST", 0.05)
    broker = Picky()
    broker.trouble["a1"] = [ConnectionError("no"), Unpublished("busy", retry_after=0.05), OSError("still no")]
    async with App(url, workflows=ALL, publisher=broker) as app:
        await (await app.start(talks, ["a1", "a2"], "a")).result(timeout=60)
        await (await app.start(talks, ["b1", "b2"], "b")).result(timeout=60)
        await published(app, 4)
        assert broker.tried["a1"] >= 4 and broker.tried["a2"] == 1
        assert [id for id in broker.ids if id[0] == "a"] == ["a1", "a2"]


async def test_who_failed_is_tried_again_when_it_is_due_and_not_at_some_later_look(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_POLL", 3600.0)
    broker = Broker()
    broker.trouble = {"a": [OSError(), OSError()], "b": [OSError()], "c": [Unpublished("busy", retry_after=1)]}
    async with App(url, workflows=ALL, publisher=broker) as app:
        for id in "abc":
            await (await app.start(talks, [id], id)).result(timeout=60)
        await published(app, 3)
    assert broker.tried == {"a": 3, "b": 2, "c": 2}


async def test_a_dead_event_is_passed_over_and_can_be_sent_again(url: str) -> None:
    broker = Broker()
    broker.trouble["a1"] = [TerminalError("never")]
    async with App(url, workflows=ALL, publisher=broker) as app:
        await (await app.start(talks, ["a1", "a2"], "a")).result(timeout=60)
        await published(app, 1)
        (dead,) = await app.outbox(status="dead")
        assert (dead.id, dead.attempts, dead.event.data) == ("a1", 1, "a1") and "never" in str(dead.error)
        assert broker.ids == ["a2"]
        with pytest.raises(InvalidInput):
            await app.retry_outbox("a2")
        await app.retry_outbox("a1")
        await published(app, 2)
        assert broker.ids == ["a2", "a1"]


async def test_too_old_is_dead(url: str) -> None:
    broker = Broker()
    broker.max_age = 0.3
    broker.endless["a"] = ConnectionError("no")
    async with App(url, workflows=ALL, publisher=broker) as app:
        await (await app.start(talks, ["a1"], "a")).result(timeout=60)

        async def dead() -> bool:
            return [row.id for row in await app.outbox(status="dead")] == ["a1"]

        await until(dead, "it is given up")


async def test_poisoned_and_slow_events_delay_nobody_else(url: str) -> None:
    broker = Broker()
    for number in range(10):
        broker.endless[f"p{number}"] = ConnectionError("poison")
        broker.slow[f"s{number}"] = 3600
    async with App(url, workflows=ALL, publisher=broker, drain=0.1) as app:
        for number in range(10):
            await (await app.start(talks, [f"p{number}-1", f"p{number}-2"], f"p{number}")).result(timeout=60)
            await (await app.start(talks, [f"s{number}-1"], f"s{number}")).result(timeout=60)
        others = [f"o{number}" for number in range(100)]
        for number in range(20):
            await (await app.start(talks, others[number::20], f"o{number}")).result(timeout=60)
        await published(app, 100)
        assert sorted(broker.ids) == sorted(others)
        pending = await app.outbox(status="pending", limit=1000)
        assert len(pending) == 30
        assert all(broker.tried.get(f"p{number}-2") is None for number in range(10))


async def test_without_a_publisher_events_wait_for_a_worker_that_has_one(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        await (await app.start(talks, ["a1", "a2", "a3"], "a")).result(timeout=60)
        page = await app.outbox(limit=2)
        assert [row.id for row in page] == ["a3", "a2"] and page.cursor is not None
        last = await app.outbox(limit=2, cursor=page.cursor)
        assert [row.id for row in last] == ["a1"] and last.cursor is None
        with pytest.raises(InvalidInput):
            await app.outbox(status="lost")  # type: ignore[arg-type]
    broker = Broker()
    async with App(url, workflows=ALL, publisher=broker) as app:
        await published(app, 3)
        assert broker.ids == ["a1", "a2", "a3"]


async def test_three_relays_share_the_work_and_send_nothing_twice(url: str) -> None:
    """Workers come while there is work to do, and partitions change hands."""
    brokers = [Broker() for _ in range(3)]
    ids = [f"n{number:04}" for number in range(500)]
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(App(url, workflows=ALL, publisher=brokers[0]))
        handles = [await first.start(talks, ids[number::50], f"subject {number}") for number in range(50)]
        others = [await stack.enter_async_context(App(url, workflows=ALL, publisher=broker)) for broker in brokers[1:]]

        async def shared() -> bool:
            return all(owned(app) for app in (first, *others))

        for handle in handles:
            await handle.result(timeout=60)
        await until(shared, "each has partitions")
        more = [f"m{number:04}" for number in range(500)]
        handles = [await first.start(has_told, more[number::50], f"subject {number}") for number in range(50)]
        for handle in handles:
            await handle.result(timeout=60)

        async def all_there() -> bool:
            return sum(len(broker.got) for broker in brokers) >= 1000

        await until(all_there, "all are published")
    got = [event.id for broker in brokers for event in broker.got]
    assert sorted(got) == sorted([*ids, *more])
    for number in range(50):
        for broker in brokers:
            mine = [event.id for event in broker.got if event.subject == f"subject {number}" and event.id[0] == "n"]
            assert mine == sorted(mine)
    assert sum(bool(broker.got) for broker in brokers) > 1


@pytest.mark.parametrize(
    ("bad", "said"), [("extension", "Bad_Name"), ("source", "source"), ("data", "object"), ("subject", "subject")]
)
async def test_what_is_no_event_is_refused(url: str, bad: str, said: str) -> None:
    async with App(url, workflows=ALL) as app:
        assert said in await (await app.start(misnames, bad)).result(timeout=60)
        assert len(await app.outbox()) == 0


async def test_bytes_arrive_as_bytes_and_nothing_as_nothing(url: str) -> None:
    broker = Broker()
    async with App(url, workflows=ALL, publisher=broker) as app:
        await (await app.start(sends_bytes)).result(timeout=60)
        await published(app, 2)
        assert {event.type: event.data for event in broker.got} == {"raw": b"\x00\xff{", "none": None}
        assert {row.event.type: row.event.data for row in await app.outbox()} == {"raw": b"\x00\xff{", "none": None}


class OddError(Exception):
    def __init__(self, retry_after: object) -> None:
        self.retry_after = retry_after


async def test_whatever_a_publisher_raises_it_is_tried_again(url: str) -> None:
    broker = Broker()
    odd = [OddError("soon"), OddError(float("nan")), OddError(-1), BaseExceptionGroup("", [SystemExit()])]
    for number, error in enumerate(odd):
        broker.trouble[f"e{number}"] = [error]
    broker.trouble["e4"] = [GeneratorExit()]
    async with App(url, workflows=ALL, publisher=broker) as app:
        ids = [f"e{number}" for number in range(6)]
        for id in ids:
            await (await app.start(talks, [id], id)).result(timeout=60)
        await published(app, 6)
        assert sorted(broker.ids) == ids
        assert all(broker.tried[f"e{number}"] == 2 for number in range(5))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_of_the_publishers_own_is_an_error_like_others(url: str) -> None:
    broker = Broker()
    broker.trouble["e1"] = [asyncio.CancelledError()]
    async with App(url, workflows=ALL, publisher=broker) as app:
        await (await app.start(talks, ["e1", "e2"], "a")).result(timeout=60)
        await published(app, 2)
        assert broker.ids == ["e1", "e2"]


async def test_one_that_never_ends_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_TIMEOUT", 0.05)
    broker = Broker()
    broker.slow["a"] = 3600
    async with App(url, workflows=ALL, publisher=broker) as app:
        await (await app.start(talks, ["a1"], "a")).result(timeout=60)

        async def failed() -> bool:
            (row,) = await app.outbox()
            return row.attempts > 0

        await until(failed, "the attempt has failed")
        del broker.slow["a"]
        await published(app, 1)


async def test_what_is_due_again_does_not_wait_for_all_that_is_new(url: str) -> None:
    broker = Broker()
    broker.trouble["old"] = [OSError("once")]
    async with App(url, workflows=ALL, publisher=broker) as app:
        await (await app.start(talks, ["old"], "old")).result(timeout=60)
        fresh: list[str] = []
        with anyio.fail_after(60):
            while "old" not in broker.ids:  # there is always something new
                some = [f"n{len(fresh) + number}" for number in range(100)]
                fresh += some
                await (await app.start(talks, some, f"s{len(fresh)}")).result(timeout=60)


async def test_a_publisher_is_closed_to_its_end_when_the_app_is(url: str) -> None:
    class Leisurely(Broker):
        async def __aexit__(self, *error: object) -> None:
            await anyio.sleep(0.05)
            await super().__aexit__(*error)

    broker = Leisurely()
    async with App(url, workflows=ALL, publisher=broker) as app:
        await (await app.start(talks, ["e1"], "a")).result(timeout=60)
        await published(app, 1)
    assert broker.open == 0


async def test_emit_belongs_into_workflows_and_activities(url: str) -> None:
    with pytest.raises(UsageError, match="emit"):
        await emit("said", 1, source="/test")


async def test_a_worker_with_a_publisher_empties_the_outboxes_of_those_without(url: str) -> None:
    broker = Broker()
    ids = [f"e{number:02}" for number in range(60)]
    async with App(url, workflows=ALL) as one, App(url, workflows=ALL, publisher=broker), App(url, workflows=ALL):
        handles = [await one.start(talks, [id], id) for id in ids]
        for handle in handles:
            await handle.result(timeout=60)
        await published(one, 60)
    assert sorted(broker.ids) == ids
