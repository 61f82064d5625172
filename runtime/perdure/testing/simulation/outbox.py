"""The outbox: what was emitted is in it once, and the broker has what it says was published."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from perdure.testing.simulation.ledger import Ledger, Violation

if TYPE_CHECKING:
    from perdure.testing.simulation.publishing import Sending
    from perdure.testing.simulation.world import World


def check_outbox(world: World, ledger: Ledger) -> None:
    """Raises Violation."""
    _check_rows(world, ledger)
    published = {id for _, id, status in world.log.marks if status == "published"}
    kept = {row.parcel.id: row.parcel.status for row in world.database.outbox.values()}
    for id in world.log.emitted:
        if kept.get(id, "published") == "published" and id not in published:
            raise Violation(f"event {id} is out of the outbox, and nobody had published it")
    if world.publishing:
        _check_broker(world, published)
        _check_order(world)


def _check_rows(world: World, ledger: Ledger) -> None:
    """A row for each event, in the very commit that says so."""
    wanted = Counter(one.id for one in ledger.emitted)
    units: dict[str, set[int]] = defaultdict(set)
    for one in ledger.emitted:
        units[one.id].add(one.unit)
    for id, rows in world.log.emitted.items():
        if id in ledger.uncertain:
            continue
        if wanted[id] != len(rows):
            raise Violation(f"event {id} was emitted {wanted[id]} times, and is in the outbox {len(rows)} times")
        if {row.unit for row in rows} != units[id]:
            raise Violation(f"event {id} was put into the outbox in another unit than what says so")
    for id in wanted.keys() - world.log.emitted.keys():
        if id not in ledger.uncertain:
            raise Violation(f"event {id} was emitted, and never came into the outbox")


def _check_broker(world: World, published: set[str]) -> None:
    received: dict[str, int] = {}
    for sending in world.broker.sendings:
        if sending.aware:
            raise Violation(f"{sending.process} publishes {sending.id}, and knew that it had lost the partition")
        if sending.received is not None:
            received[sending.id] = min(sending.received, received.get(sending.id, sending.received))
    for moment, id, status in world.log.marks:
        if status == "published" and received.get(id, moment) >= moment:
            raise Violation(f"event {id} was marked as published, and the broker did not have it")
    if world.calm:
        times = Counter(sending.id for sending in world.broker.sendings if sending.received is not None)
        for id in published:
            if times[id] != 1:
                raise Violation(f"nothing went wrong, and the broker received event {id} {times[id]} times")


def _check_order(world: World) -> None:
    """Of one lane, the broker sees the events first in the order of their numbers, but for those given up meanwhile."""
    dead = {id for _, id, status in world.log.marks if status == "dead"}
    last: dict[str, int] = {}
    seen: set[str] = set()
    received = [sending for sending in world.broker.sendings if sending.received is not None]
    for sending in sorted(received, key=_moment):
        if sending.id in dead or sending.id in seen:
            continue
        seen.add(sending.id)
        one = world.log.emitted[sending.id][0]
        if one.number < last.get(one.emission.lane, 0):
            raise Violation(f"event {sending.id} came to the broker after a later one of its lane")
        last[one.emission.lane] = one.number


def _moment(sending: Sending) -> int:
    return sending.received or 0
