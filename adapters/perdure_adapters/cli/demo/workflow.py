"""What the demo runs: an order, from the warehouse to the customer's door.

Nothing in here knows that the process will be killed. The activities stand in for a warehouse, a
payment provider, a carrier and a mail server: each notes its start and its end in the effects
file, which is how the demo proves afterwards what happened and what did not.
"""

from __future__ import annotations

from attrs import frozen

from perdure import activity, activity_info, workflow
from perdure_adapters.cli.demo.effects import effect


@frozen
class Line:
    sku: str
    quantity: int
    cents: int


@frozen
class Order:
    id: str
    customer: str
    lines: list[Line]

    @property
    def total(self) -> int:
        return sum(line.quantity * line.cents for line in self.lines)

    @property
    def steps(self) -> list[str]:
        """The steps that `fulfil` takes for this order, in order."""
        return [*(f"reserve {line.sku}" for line in self.lines), "charge", "ship", "confirm"]


@frozen
class Done:
    """What each activity returns; `reference` is its idempotency key, `worker` the process that did it."""

    step: str
    reference: str
    worker: int


async def _perform(order: Order, step: str) -> Done:
    info = activity_info()
    worker = await effect(order.id, step, info.idempotency_key, info.attempt)
    return Done(step, info.idempotency_key, worker)


@activity
async def reserve(order: Order, line: Line) -> Done:
    """Put the goods aside in the warehouse."""
    return await _perform(order, f"reserve {line.sku}")


@activity
async def charge(order: Order, cents: int) -> Done:
    """Take the customer's money, once."""
    return await _perform(order, "charge")


@activity
async def ship(order: Order, reservations: list[str], payment: str) -> Done:
    """Hand the parcel to the carrier."""
    return await _perform(order, "ship")


@activity
async def confirm(order: Order, parcel: str) -> Done:
    """Write to the customer."""
    return await _perform(order, "confirm")


@workflow
async def fulfil(order: Order) -> str:
    """Returns the parcel's reference."""
    reservations = [(await reserve(order, line)).reference for line in order.lines]
    payment = await charge(order, order.total)
    parcel = await ship(order, reservations, payment.reference)
    await confirm(order, parcel.reference)
    return parcel.reference
