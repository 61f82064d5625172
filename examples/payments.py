"""Orders that wait for a payment, which arrives as a CloudEvent, or too late; a child sends the goods.

    python examples/payments.py [DATABASE]

Kill it while the orders wait and run it again: they go on waiting, for what is left of the time. Delete
the database (payments.db, unless you named one) to begin anew.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import anyio

from perdure import App, activity, gather, wait_event, workflow


@dataclass(frozen=True)
class Order:
    id: str
    item: str
    cents: int


@dataclass(frozen=True)
class Payment:
    order: str
    cents: int


@activity
async def write_to(order: Order, text: str) -> None:
    say(f"{order.id}: {text}")


@activity
async def pack(item: str) -> str:
    say(f"packing a {item}")
    await anyio.sleep(0.3)
    return f"a box with a {item}"


@activity
async def hand_over(box: str) -> str:
    say(f"the courier takes {box}")
    return f"courier with {box}"


@workflow
async def deliver_goods(order: Order) -> str:
    box = await pack(order.item)
    return await hand_over(box)


@workflow
async def sell(order: Order, patience: float) -> str:
    await write_to(order, f"please pay {order.cents / 100:.2f}")
    try:
        # Also finds a payment that was quicker than this line.
        paid = await wait_event("payment.completed", Payment, match={"order": order.id}, timeout=patience)
    except TimeoutError:
        await write_to(order, "we waited long enough")
        return "expired"
    # A workflow that is called is a child: an instance of its own, and an error of it is raised here.
    delivery, _ = await gather(
        deliver_goods.options(id=f"{order.id}-delivery")(order),
        write_to(order, f"thank you for {paid.data.cents / 100:.2f}"),
    )
    return delivery


def say(text: str) -> None:
    print(text, flush=True)


async def main() -> None:
    database = sys.argv[1] if len(sys.argv) > 1 else "payments.db"
    orders = [Order("order-1", "desk", 42_900), Order("order-2", "lamp", 5_900), Order("order-3", "rug", 9_900)]
    async with App(f"sqlite:///{database}", workflows=[sell, deliver_goods], lease=1.0) as app:
        await bank_says(app, orders[0])  # before anybody waits for it
        # Nobody pays for the rug, so that one does not wait for long.
        patience = {"desk": 60.0, "lamp": 60.0, "rug": 3.0}
        handles = [await app.start(sell.options(id=order.id), order, patience[order.item]) for order in orders]
        await anyio.sleep(0.5)
        await bank_says(app, orders[1])
        for handle in handles:
            say(f"{handle.id}: {await handle.result(timeout=60)}")


async def bank_says(app: App, order: Order) -> None:
    """Every time the same event: it counts once."""
    await app.deliver(
        {
            "type": "payment.completed",
            "source": "/bank",
            "id": f"payment-of-{order.id}",
            "data": {"order": order.id, "cents": order.cents},
        }
    )


if __name__ == "__main__":
    anyio.run(main)
