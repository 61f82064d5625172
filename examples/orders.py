"""An order that outlives its process.

    python examples/orders.py [DATABASE]

Kill it at any moment (kill -9, or pull the plug) and run it again: it goes on where it stopped.
Once the orders are done, running it again gives their recorded outcome and does nothing twice;
delete the database (orders.db, unless you named one) to begin anew.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import anyio

from perdure import App, Retry, activity, activity_info, workflow


@dataclass(frozen=True)
class Order:
    id: str
    item: str
    card: str


@dataclass(frozen=True)
class Receipt:
    order: str
    payment: str
    parcel: str


class CardDeclined(Exception):
    pass


@activity
async def reserve(order: Order) -> str:
    say(f"{order.id}: reserving {order.item}")
    await anyio.sleep(0.3)
    return f"reservation-of-{order.item}"


@activity
async def release(order: Order, reservation: str) -> None:
    say(f"{order.id}: putting {order.item} back")


@activity(retry=Retry(attempts=5, initial=0.2, give_up_on=(CardDeclined,)), timeout=10)
async def charge(order: Order) -> str:
    info = activity_info()
    say(f"{order.id}: charging {order.card}, attempt {info.attempt}")
    await anyio.sleep(0.5)
    if order.card == "empty":
        raise CardDeclined("insufficient funds")
    if info.attempt == 1:
        raise ConnectionError("the payment provider did not answer")  # so perdure tries again
    # A real provider is given this key: whatever happens, it charges once.
    return f"payment-{info.idempotency_key[:8]}"


@activity
def ship(order: Order) -> str:  # a plain function runs in a thread
    say(f"{order.id}: shipping {order.item}")
    return f"parcel-to-the-owner-of-{order.card}"


@workflow
async def fulfil(order: Order) -> Receipt | None:
    reservation = await reserve(order)
    try:
        payment = await charge(order)
    except CardDeclined:
        await release(order, reservation)
        return None
    return Receipt(order.id, payment, await ship(order))


def say(text: str) -> None:
    print(text, flush=True)


async def main() -> None:
    database = sys.argv[1] if len(sys.argv) > 1 else "orders.db"
    # The lease is how long others wait before they take over from a process that died.
    app = App(f"sqlite:///{database}", workflows=[fulfil], lease=1.0)
    orders = [Order("order-1", "desk", card="visa"), Order("order-2", "lamp", card="empty")]
    async with app:
        handles = [await app.start(fulfil.options(id=order.id), order) for order in orders]
        for handle in handles:
            receipt = await handle.result(timeout=60)
            say(f"{handle.id}: {receipt if receipt else 'declined, nothing was charged'}")


if __name__ == "__main__":
    anyio.run(main)
