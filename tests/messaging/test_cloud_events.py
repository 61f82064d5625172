"""What an event says arrives whole: attributes, extensions, binary data; from a mapping and from the official SDK."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from messaging.watching import happened, rests
from perdure import App, Event, receive, wait_event, workflow


@dataclass
class Payment:
    order: str
    cents: int


seen: list[list[Any]] = []


def told(event: Event[Any]) -> list[Any]:
    return [event.id, event.source, event.type, event.subject, event.time, dict(event.extensions), event.data]


@workflow
async def observes() -> bool:
    """Notes all that is told about three events, in each of its lives."""
    notes: list[Any] = []
    seen.append(notes)
    notes.append(told(await wait_event("paid", Payment, match={"order": "1"})))
    notes.append(told(await wait_event("scanned", bytes)))
    notes.append(told(await wait_event("ticked", None)))
    await receive("go")
    return True


@workflow
async def takes_any() -> Any:
    event = await wait_event("paid")
    return [event.id, event.source, event.subject, event.time.isoformat(), dict(event.extensions), event.data]


async def test_every_attribute_is_kept_and_survives_a_restart(url: str) -> None:
    seen.clear()
    async with App(url, workflows=[observes]) as app:
        handle = await app.start(observes)
        await rests(handle)
        await app.deliver(
            {
                "specversion": "1.0",
                "id": "é/1",
                "source": "/bank?a=b",
                "type": "paid",
                "subject": "order 1",
                "time": "2026-01-02T03:04:05.000006Z",
                "datacontenttype": "application/json",
                "dataschema": "https://example.com/schema",
                "data": {"order": "1", "cents": 250},
                "flag": True,
                "number": 7,
                "text": "0012",
                "absent": None,
            }
        )
        await happened(handle, "EventReceived")
        raw = base64.b64encode(b"\x00\xff\x80").decode()
        await app.deliver({"id": "2", "source": "/scanner", "type": "scanned", "data_base64": raw})
        await happened(handle, "EventReceived", 2)
        before = datetime.now(UTC)
        await app.deliver({"id": "3", "source": "/clock", "type": "ticked"})
        await happened(handle, "EventReceived", 3)
    async with App(url, workflows=[observes]) as app:
        again = app.handle(observes, handle.id)
        await again.send("go", None)
        assert await again.result(timeout=60)
    first, *_, last = seen
    assert first == last and first is not last
    at = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    extensions = {"flag": True, "number": 7, "text": "0012"}
    assert first[0] == ["é/1", "/bank?a=b", "paid", "order 1", at, extensions, Payment("1", 250)]
    assert first[1][6] == b"\x00\xff\x80" and first[1][3] is None and first[1][5] == {}
    assert first[2][6] is None
    assert abs((first[2][4] - before).total_seconds()) < 60


async def test_the_official_sdk_s_event_is_taken(url: str) -> None:
    sdk = pytest.importorskip("cloudevents.core.v1.event")
    attributes = {
        "id": "1",
        "type": "paid",
        "source": "/shop",
        "subject": "o1",
        "time": datetime(2026, 1, 2, tzinfo=UTC),
        "datacontenttype": "application/json",
        "seq": 7,
    }
    async with App(url, workflows=[takes_any]) as app:
        for data in ({"qty": 2, "deep": [None]}, b"\x00\xff", None, "text"):
            handle = await app.start(takes_any)
            await rests(handle)
            event = sdk.CloudEvent({**attributes, "id": f"{type(data).__name__}"}, data)
            await app.deliver(event)
            await app.deliver(event)
            expected = base64.b64encode(data).decode() if isinstance(data, bytes) else data
            assert await handle.result(timeout=60) == [
                type(data).__name__,
                "/shop",
                "o1",
                "2026-01-02T00:00:00+00:00",
                {"seq": 7},
                expected,
            ]
