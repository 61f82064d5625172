"""An event and a deadline at the same instant: one winner, for ever; and the event is not lost."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio

from messaging.test_events import event
from messaging.watching import rests
from perdure import App, info, race, receive, sleep_until, wait_event, workflow
from perdure.testing.memory import MemoryStore

race_lives: dict[str, list[str]] = {}


@workflow
async def races(order: str, at: float) -> list[str | None]:
    """A payment and a deadline at the same instant."""
    winner = await race(
        paid=wait_event("paid", match={"order.id": order}),
        late=sleep_until(datetime.fromtimestamp(at, UTC)),
    )
    race_lives.setdefault(info().instance_id, []).append(winner.label)
    await receive("go")
    if winner.label == "paid":
        return ["paid", None]
    return ["late", (await wait_event("paid", match={"order.id": order})).id]


async def test_of_an_event_and_a_deadline_one_wins_and_the_event_is_not_lost(url: str) -> None:
    race_lives.clear()
    orders = [str(number) for number in range(12)]
    safe, before, at_once = orders[:4], orders[4:8], orders[8:]  # when the event comes, seen from the deadline
    async with App(url, workflows=[races], max_resident=2) as app:
        store = app._resources().store
        at = app._resources().clock.now() / 1e6 + (0.3 if isinstance(store, MemoryStore) else 0.6)
        handles = [await app.start(races, order, at + (3600 if order in safe else 0)) for order in orders]
        for handle in handles:
            await rests(handle)
        for order in safe + before:
            await app.deliver(event(f"e{order}", {"order": {"id": order}}))
        await anyio.sleep(at - app._resources().clock.now() / 1e6 - 0.01)
        while app._resources().clock.now() < at * 1e6:
            await anyio.lowlevel.checkpoint()
        for order in at_once:
            await app.deliver(event(f"e{order}", {"order": {"id": order}}))
    async with App(url, workflows=[races], max_resident=2) as app:
        for order, one in zip(orders, handles, strict=True):
            again = app.handle(races, one.id)
            await again.send("go", None)
            label, id = await again.result(timeout=60)
            assert id == (None if label == "paid" else f"e{order}")
            assert set(race_lives[again.id]) == {label}
    assert [race_lives[one.id][0] for one in handles[: len(safe)]] == ["paid"] * len(safe)
