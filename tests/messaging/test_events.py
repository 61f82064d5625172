"""CloudEvents: each goes to whoever waits for it, once."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import anyio
import anyio.lowlevel
import pytest

from messaging.watching import emptied, ended, happened, rests, rows
from perdure import App, Handle, InvalidInput, StoreUnavailable, UsageError, gather, receive, wait_event, workflow


def event(id: str, data: Any, *, type: str = "paid", **rest: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "/bank", "type": type, "data": data, **rest}


@workflow
async def waits(order: str) -> str:
    return (await wait_event("paid", match={"order.id": order})).id


@workflow
async def waits_for_any() -> list[str]:
    """Without a match only what comes while it waits."""
    return [(await wait_event("paid")).id for _ in range(2)]


@workflow
async def waits_in_two_places() -> list[str]:
    pair = await gather(wait_event("paid", match={"order.id": "7"}), wait_event("paid"))
    return [one.id for one in pair]


@workflow
async def comes_late(order: str, patience: float) -> str:
    await receive("go")
    try:
        return (await wait_event("paid", match={"order.id": order}, timeout=patience)).id
    except TimeoutError:
        return "nothing"


@workflow
async def matches(paths: dict[str, Any]) -> str:
    return (await wait_event("paid", match=paths)).id


@workflow
async def matches_values() -> str:
    values = {"price": Decimal("1.50"), "took": timedelta(seconds=3), "on": date(2026, 1, 2), "id": UUID(int=5)}
    return (await wait_event("paid", match=values)).id


@workflow
async def is_strict() -> str:
    try:
        await wait_event("paid", int)
    except InvalidInput as error:
        return str(error)
    return "taken"


@workflow
async def asks_for_nonsense() -> int:
    refused = 0
    for bad in ({"": 1}, {"a..b": 1}, {"a": object()}):
        try:
            await wait_event("paid", match=bad)
        except InvalidInput:
            refused += 1
    try:
        await wait_event("")
    except InvalidInput:
        refused += 1
    return refused


async def started(app: App, *orders: str) -> list[Handle[str]]:
    handles = [await app.start(waits, order) for order in orders]
    for handle in handles:
        await rests(handle)
    return handles


async def test_an_event_goes_to_whoever_its_data_fits(url: str) -> None:
    async with App(url, workflows=[waits]) as app:
        handles = await started(app, "1", "2", "2")
        await app.deliver(event("e3", {"order": {"id": "3"}}))
        await app.deliver(event("other", {"order": {"id": "1"}}, type="cancelled"))
        await app.deliver(event("number", {"order": {"id": 1}}))
        await app.deliver(event("e2", {"order": {"id": "2"}}))
        await app.deliver(event("e1", {"order": {"id": "1"}}))
        assert [await handle.result(timeout=60) for handle in handles] == ["e1", "e2", "e2"]
        await emptied(app, "waits")
        await emptied(app, "inbox")


async def test_every_waiter_of_a_type_gets_it_and_each_only_one(url: str) -> None:
    async with App(url, workflows=[waits_for_any]) as app:
        await app.deliver(event("too early", None))
        handles = [await app.start(waits_for_any) for _ in range(3)]
        for handle in handles:
            await rests(handle)
        await app.deliver(event("a", None))
        for handle in handles:
            await happened(handle, "EventReceived")
        await app.deliver(event("b", None))
        await app.deliver(event("c", None))
        assert [await handle.result(timeout=60) for handle in handles] == [["a", "b"]] * 3
        await emptied(app, "inbox")


async def test_an_event_satisfies_one_wait_of_an_instance(url: str) -> None:
    async with App(url, workflows=[waits_in_two_places]) as app:
        handle = await app.start(waits_in_two_places)
        await rests(handle)
        await app.deliver(event("a", {"order": {"id": "7"}}))
        await happened(handle, "EventReceived")
        await app.deliver(event("b", {"order": {"id": "7"}}))
        assert await handle.result(timeout=60) == ["a", "b"]


async def test_the_same_source_and_id_are_one_event(url: str) -> None:
    async with App(url, workflows=[waits_for_any]) as app:
        handle = await app.start(waits_for_any)
        await rests(handle)
        await app.deliver(event("a", None))
        await happened(handle, "EventReceived")
        await app.deliver(event("a", "again"))
        await app.deliver({**event("a", None), "source": "/another"})
        await ended(handle, "completed")
        assert [one.data["source"] for one in await handle.history() if one.kind == "EventReceived"] == [
            "/bank",
            "/another",
        ]


async def test_match_compares_encoded_json_at_dotted_paths(url: str) -> None:
    wanted: list[dict[str, Any]] = [
        {"a.b.c": 1},
        {"list.1": "x"},
        {"a.b": {"d": None, "c": 1}},
        {"null": None},
        {"yes": True, "a.b.c": 1},
    ]
    data = {"a": {"b": {"c": 1, "d": None}}, "list": ["w", "x"], "null": None, "yes": True}
    misses: list[dict[str, Any]] = [{"a.b.c": "1"}, {"a.b.c": 1, "yes": False}, {"missing": None}, {"list.2": "x"}]
    async with App(url, workflows=[matches]) as app:
        fitting = [await app.start(matches, paths) for paths in wanted]
        others = [await app.start(matches, paths) for paths in misses]
        for handle in [*fitting, *others]:
            await rests(handle)
        await app.deliver(event("e", data))
        assert [await handle.result(timeout=60) for handle in fitting] == ["e"] * len(wanted)
        assert [(await handle.info()).status for handle in others] == ["waiting"] * len(misses)


async def test_match_takes_what_can_be_stored(url: str) -> None:
    async with App(url, workflows=[matches_values]) as app:
        handle = await app.start(matches_values)
        await rests(handle)
        data = {"price": "1.50", "took": "PT3S", "on": "2026-01-02", "id": str(UUID(int=5))}
        await app.deliver(event("other", {**data, "price": "1.5"}))
        await app.deliver(event("e", data))
        assert await handle.result(timeout=60) == "e"


async def test_a_target_gets_it_alone(url: str) -> None:
    async with App(url, workflows=[waits, waits_for_any]) as app:
        one, two = await started(app, "1", "1")
        bystander = await app.start(waits_for_any)
        await rests(bystander)
        await app.deliver(event("nobody", {"order": {"id": "1"}}, perdureinstanceid="no such instance"))
        await app.deliver(event("two", {"order": {"id": "1"}}, perdureinstanceid=two.id))
        assert await two.result(timeout=60) == "two"
        assert (await one.info()).status == (await bystander.info()).status == "waiting"
        await app.deliver(event("ended", {"order": {"id": "1"}}, perdureinstanceid=two.id))
        await app.deliver(event("all", {"order": {"id": "1"}}))
        assert await one.result(timeout=60) == "all"


async def test_an_early_event_is_found_within_the_buffer_and_not_beyond(url: str) -> None:
    async with App(url, workflows=[comes_late], event_buffer=60) as app:
        handle = await app.start(comes_late, "1", 3600)
        await rests(handle)
        await app.deliver(event("early", {"order": {"id": "1"}}))
        await app.deliver(event("for others", {"order": {"id": "2"}}))
        await handle.send("go", None)
        assert await handle.result(timeout=60) == "early"
    async with App(url, workflows=[comes_late], event_buffer=0.05) as app:
        handle = await app.start(comes_late, "3", 0.3)
        await rests(handle)
        await app.deliver(event("too early", {"order": {"id": "3"}}))
        await anyio.sleep(0.1)
        await handle.send("go", None)
        assert await handle.result(timeout=60) == "nothing"


async def test_an_early_event_waits_for_one_that_is_down(url: str) -> None:
    async with App(url, workflows=[waits]) as app:
        (waiting,) = await started(app, "1")
    async with App(url, workflows=[waits], worker=False) as client:
        await client.deliver(event("e1", {"order": {"id": "1"}}))
        await client.deliver(event("e2", {"order": {"id": "2"}}))
        late = await client.start(waits, "2")
    async with App(url, workflows=[waits]) as app:
        assert await app.handle(waits, waiting.id).result(timeout=60) == "e1"
        assert await app.handle(waits, late.id).result(timeout=60) == "e2"


async def test_what_is_accepted_is_offered_though_its_app_died(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with App(url, workflows=[waits]) as app:
        (waiting,) = await started(app, "1")
        async with App(url, workflows=[waits], worker=False) as client:
            monkeypatch.setattr("perdure.cloudevents.intake.offer", _dies)
            await client.deliver(event("e1", {"order": {"id": "1"}}))
        assert await waiting.result(timeout=60) == "e1"


async def _dies(*args: object) -> None:
    raise StoreUnavailable("the process dies here")


async def test_data_of_another_type_is_refused_where_it_is_waited_for(url: str) -> None:
    async with App(url, workflows=[is_strict, asks_for_nonsense]) as app:
        handle = await app.start(is_strict)
        await rests(handle)
        await app.deliver(event("a", "seven"))
        assert "paid" in await handle.result(timeout=60)
        assert await (await app.start(asks_for_nonsense)).result(timeout=60) == 4
    with pytest.raises(UsageError, match="perdure.wait_event"):
        await wait_event("paid")


async def test_what_is_no_cloud_event_is_refused_and_not_kept(url: str) -> None:
    good = event("a", None)
    async with App(url, workflows=[waits], max_payload=1000) as app:
        for name in ("id", "source", "type"):
            for bad in (None, "", 5, "x" * 2000):
                with pytest.raises(InvalidInput, match=name):
                    await app.deliver({**good, name: bad})
            with pytest.raises(InvalidInput, match=name):
                await app.deliver({key: value for key, value in good.items() if key != name})
        with pytest.raises(InvalidInput, match="no CloudEvent"):
            await app.deliver("paid")  # type: ignore[arg-type]  # the mistake under test
        for bad_one in (
            {"specversion": "0.3"},
            {"time": "yesterday"},
            {"time": "2026-01-01T00:00:00"},
            {"data_base64": "é"},
            {"data_base64": "AA==", "data": 1},
            {"Foo": "x"},
            {"a-b": "x"},
            {"ext": 1.5},
            {"ext": "\0"},
            {"ext": "\ud800"},
            {"subject": "\ud800"},
            {"data": "x" * 1001},
            {"data": float("nan")},
            {"perdureinstanceid": "\ud800"},
        ):
            with pytest.raises(InvalidInput):
                await app.deliver({**good, **bad_one})
        assert await rows(app, "event_buffer") == 0
