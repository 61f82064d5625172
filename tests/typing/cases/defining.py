"""What the decorators make of functions. Never executed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, assert_type

from attrs import frozen

from perdure import Activity, Retry, Seconds, SyncActivity, TerminalError, Workflow, activity, workflow


@frozen
class Order:
    id: str


@frozen
class Payment:
    id: str


class CardDeclined(Exception): ...


@activity
async def reserve(order: Order) -> str:
    return order.id


@activity()
async def release(order: Order, *, result: str | None = None) -> None: ...


@activity(
    retry=Retry(
        attempts=3,
        initial=0.1,
        backoff=2.0,
        max_interval=timedelta(seconds=10),
        max_duration=None,
        jitter=0.1,
        give_up_on=(CardDeclined, TerminalError),
    ),
    timeout=30,
    name="charge",
)
async def charge(order: Order, amount: float = 1.0, /, *tags: str, currency: str = "EUR", **more: int) -> Payment:
    return Payment(order.id)


@activity
def measure(path: str, unit: str = "cm") -> int:
    return len(path)


@activity(timeout=timedelta(seconds=5))
def halve(number: int) -> float:
    return number / 2


@activity
def plain_none() -> None: ...


@workflow
async def fulfil(order: Order) -> Payment:
    assert_type(await reserve(order), str)
    assert_type(await release(order, result="x"), None)
    assert_type(await release(order), None)
    assert_type(await charge(order, 2.5, "a", "b", currency="CHF", more=3), Payment)
    assert_type(await measure("a", unit="m"), int)
    assert_type(await halve(3), float)
    assert_type(await plain_none(), None)
    return await charge.options(retry=Retry(attempts=1), timeout=5)(order)


@workflow(name="nothing", version="2")
async def nothing() -> None: ...


@workflow()
async def generic(numbers: list[int], *, scale: float = 1) -> dict[str, tuple[int, ...]]:
    return {"": tuple(numbers)}


def definitions() -> None:
    assert_type(reserve.name, str)
    assert_type(fulfil.name, str)
    assert_type(reserve.fn(Order("1")), Awaitable[str] | str)
    assert_type(measure.fn("a"), int)  # a plain function's tests need no event loop
    of_the_function = fulfil.fn(Order("1"))
    of_an_activity = reserve(Order("1"))
    of_a_workflow = fulfil(Order("1"))
    assert_type([of_the_function], list[Coroutine[Any, Any, Payment]])
    assert_type([of_an_activity], list[Coroutine[None, None, str]])
    assert_type([of_a_workflow], list[Coroutine[None, None, Payment]])


async def options() -> None:
    assert_type(await fulfil.options(id="order-42")(Order("1")), Payment)
    assert_type(measure.options(timeout=timedelta(seconds=1)).fn("a"), int)
    assert_type(await generic.options(id="g")([1], scale=2), dict[str, tuple[int, ...]])


def named_in_signatures() -> object:
    """Definitions can be named in signatures, with their parameters or without."""
    an_activity: Activity[[Order], str] = reserve
    a_sync_one: SyncActivity[[int], float] = halve
    also_an_activity: Activity[[int], float] = halve
    a_workflow: Workflow[[Order], Payment] = fulfil
    any_activity: Activity[..., Any] = a_sync_one
    any_workflow: Workflow[..., Any] = a_workflow
    functions: list[Callable[[Order], Awaitable[object]]] = [an_activity, a_workflow]
    durations: list[Seconds] = [1, 1.5, timedelta(days=1)]
    return also_an_activity, any_activity, any_workflow, functions, durations


async def outside() -> None:
    assert_type(await reserve(Order("1")), str)
    assert_type(await fulfil(Order("1")), Payment)
