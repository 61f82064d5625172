"""An event starts each workflow that starts on its type, once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from messaging.watching import rests, rows, until
from perdure import App, Handle, InvalidInput, StoreError, StoreUnavailable, Workflow, wait_event, workflow


@dataclass
class Order:
    id: str
    cents: int


@workflow(starts_on="order.created")
async def takes_all(order: Order) -> str:
    return f"{order.id} for {order.cents}"


@workflow(starts_on="order.cancelled")
async def takes_fields(id: str, reason: str = "none") -> str:
    return f"{id}: {reason}"


@workflow(starts_on="order.cancelled", name="audit")
async def takes_nothing_more(id: str, reason: str | None = None) -> str:
    return f"audited {id}"


@workflow(starts_on="tick")
async def takes_none() -> str:
    return "ticked"


@workflow
async def waits() -> Any:
    return (await wait_event("order.created")).data["id"]


ALL: list[Workflow[..., Any]] = [takes_all, takes_fields, takes_nothing_more, takes_none, waits]


def event(type: str, data: Any, *, id: str = "1", **rest: Any) -> dict[str, Any]:
    return {"id": id, "source": "/shop", "type": type, "data": data, **rest}


async def only(app: App, name: str) -> Handle[Any]:
    """The one instance of this workflow."""

    async def there() -> bool:
        return len(await app.find(workflow=name)) > 0

    await until(there, f"an instance of {name}")
    (row,) = await app.find(workflow=name)
    return app.handle(name, row.instance_id)


async def test_a_single_parameter_takes_the_whole_data(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        waiting = await app.start(waits)
        await rests(waiting)
        for _ in range(2):
            await app.deliver(event("order.created", {"id": "7", "cents": 5}))
        assert await (await only(app, "takes_all")).result(timeout=60) == "7 for 5"
        assert await waiting.result(timeout=60) == "7"
        await app.deliver(event("order.created", {"id": "8", "cents": 6}, id="2"))
        assert len(await app.find(workflow="takes_all")) == 2


async def test_several_parameters_take_fields_by_name(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        await app.deliver(event("order.cancelled", {"id": "7", "reason": "late"}))
        assert await (await only(app, "takes_fields")).result(timeout=60) == "7: late"
        assert await (await only(app, "audit")).result(timeout=60) == "audited 7"
        await app.deliver(event("tick", None, id="2"))
        assert await (await only(app, "takes_none")).result(timeout=60) == "ticked"


async def test_data_that_does_not_fit_is_refused_and_nothing_is_stored(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        waiting = await app.start(waits)
        await rests(waiting)
        for type, data in (
            ("order.created", {"id": 7, "cents": 5}),
            ("order.created", {"id": "7"}),
            ("order.created", None),
            ("order.cancelled", "7"),
            ("order.cancelled", {"reason": "late"}),
            ("order.cancelled", {"id": "7", "reason": 5}),
        ):
            with pytest.raises(InvalidInput):
                await app.deliver(event(type, data))
        assert await rows(app, "event_buffer") == 0
        assert len(await app.find()) == 1
        await app.deliver(event("order.created", {"id": "7", "cents": 5}))  # the same id: it was not used up
        assert await waiting.result(timeout=60) == "7"


async def test_an_event_for_one_instance_starts_nothing(url: str) -> None:
    async with App(url, workflows=ALL) as app:
        waiting = await app.start(waits)
        await rests(waiting)
        await app.deliver(event("order.created", {"id": "7", "cents": 5}, perdureinstanceid=waiting.id))
        assert await waiting.result(timeout=60) == "7"
        assert len(await app.find(workflow="takes_all")) == 0


async def test_what_it_starts_is_started_though_its_app_could_not(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await _started_later(url, StoreUnavailable, monkeypatch)


@pytest.mark.parametrize("error", [StoreError, ZeroDivisionError])
async def test_whatever_kept_its_app_from_it(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    await _started_later(f"memory://{error.__name__}", error, monkeypatch)


async def _started_later(url: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    async with App(url, workflows=ALL, worker=False) as client:
        monkeypatch.setattr("perdure.cloudevents.intake.offer", partial(_dies, error))
        for _ in range(2):
            await client.deliver(event("order.created", {"id": "7", "cents": 5}))
        async with App(url, workflows=ALL) as app:
            assert await (await only(app, "takes_all")).result(timeout=60) == "7 for 5"


async def _dies(error: type[Exception], *args: object) -> None:
    raise error("in the middle of it")
