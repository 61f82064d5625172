"""Messages and CloudEvents: what was sent arrives, what arrives is received, all of it once."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import orjson

from perdure.machine.events import EventReceived, MessageReceived
from perdure.ports import QUEUED
from perdure.testing.simulation.ledger import Ledger, Sent, Told, Violation
from perdure.testing.simulation.log import Posted

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World


def check_deliveries(world: World, ledger: Ledger) -> None:
    """Raises Violation."""
    rows: dict[str, list[Posted]] = defaultdict(list)
    for posted in world.log.posted.values():
        if posted.request.kind == "message":
            rows[posted.message].append(posted)
    for id, posts in rows.items():
        _check_rows(ledger, id, posts)
    _check_promises(world, ledger)
    received = _check_received(ledger, rows)
    for sent in ledger.sent.values():
        if sent.target is not None and sent.sender is not None and sent.id not in rows:
            _check_nobody(world, ledger, sent, received)
    _check_kept(world, ledger, received)
    _check_order(ledger, rows)
    _check_events(ledger)


def _check_rows(ledger: Ledger, id: str, posts: list[Posted]) -> None:
    """Rows come of what was sent, in the very commit that says so."""
    sent = ledger.sent.get(id)
    whose = [post.request.instance_id for post in posts]
    if sent is None:
        raise Violation(f"message {id} is for {whose}, and no stream says that it was sent")
    for post in posts:
        if post.unit != sent.unit:
            raise Violation(f"message {id} of {sent.sender} was written in another unit than the event that says so")
    if len(set(whose)) != len(whose):
        raise Violation(f"message {id} was put into inboxes {whose}")
    if sent.target is not None and whose != [sent.target]:
        raise Violation(f"message {id} is for {sent.target}, and is in the inboxes of {whose}")


def _check_nobody(world: World, ledger: Ledger, sent: Sent, received: dict[tuple[str, str], Told]) -> None:
    """It came into no inbox: its target was not there, or has received it in the sender's own commit."""
    target = ledger.stories.get(sent.target or "")
    if target is None or target.born > sent.moment or target.ended < sent.moment or sent.id in ledger.uncertain:
        return
    told = received.get((target.row.id, sent.id))
    if told is not None and world.log.links[told.at.unit] == world.log.links[sent.unit]:
        return
    if target.end is None or target.end.at.unit != sent.unit:
        raise Violation(f"message {sent.id} of {sent.sender} never came into the inbox of {sent.target}")


def _check_promises(world: World, ledger: Ledger) -> None:
    for moment, message, target in world.promised:
        if message not in ledger.sent and (target is None or ledger.stories[target].ended > moment):
            raise Violation(f"message {message} to {target or 'a channel'} was accepted, and never written")
    kept = {(data["source"], data["id"]) for _, _, one in world.log.arrivals for data in [orjson.loads(one.data)]}
    for source, id in world.delivered:
        if (source, id) not in kept:
            raise Violation(f"event {id!r} of {source!r} was accepted, and is not kept")


def _check_received(ledger: Ledger, rows: dict[str, list[Posted]]) -> dict[tuple[str, str], Told]:
    """By receiver and message."""
    received: dict[tuple[str, str], Told] = {}
    times: Counter[str] = Counter()
    for told in ledger.order:
        if not isinstance(told.event, MessageReceived):
            continue
        instance, message = told.at.instance, orjson.loads(told.event.message)["id"]
        sent = ledger.sent.get(message)
        if sent is None:
            raise Violation(f"{instance} received message {message}, and no stream says that it was sent")
        if sent.channel != told.event.name:
            raise Violation(f"{instance} received message {message} on {told.event.name!r}, not on {sent.channel!r}")
        if (instance, message) in received:
            raise Violation(f"{instance} received message {message} twice")
        if sent.moment > told.at.moment:
            raise Violation(f"{instance} received message {message} before it was sent")
        received[instance, message] = told
        times[message] += 1
        one_only = sent.target is not None or any(row.request.partition == QUEUED for row in rows[message])
        if one_only and times[message] > 1:
            raise Violation(f"message {message} on {sent.channel!r} was received {times[message]} times")
        if sent.target not in (None, instance):
            raise Violation(f"{instance} received message {message}, which is for {sent.target}")
    return received


def _check_kept(world: World, ledger: Ledger, received: dict[tuple[str, str], Told]) -> None:
    """A row goes with the event that says what became of it; a queue's row never goes otherwise."""
    by_message: dict[str, list[Told]] = defaultdict(list)
    for (_, message), told in received.items():
        by_message[message].append(told)
    for number, gone in world.log.removed.items():
        posted = world.log.posted[number]
        request = posted.request
        if request.kind != "message":
            continue
        queued = request.partition == QUEUED
        takers = by_message[posted.message]
        if not queued:
            takers = [told for told in takers if told.at.instance == request.instance_id]
        if any(told.at.unit == gone.unit for told in takers):
            continue
        if queued or (gone.live and posted.message not in world.log.withdrawn):
            whose = "the queue of" if queued else f"{request.instance_id} on"
            raise Violation(f"message {posted.message} to {whose} {request.channel!r} was lost")
    for number, request in world.database.inbox.items():
        posted = world.log.posted[number]
        if any(
            posted.request.partition == QUEUED or one.at.instance == request.instance_id
            for one in by_message[posted.message]
        ):
            raise Violation(f"message {posted.message} was received, and is still in the inbox")


def _check_order(ledger: Ledger, rows: dict[str, list[Posted]]) -> None:
    """What comes from one sender, on one way, is written and received in its order."""
    last_row: dict[tuple[str, bool], int] = {}
    for sent in sorted(ledger.sent.values(), key=lambda one: one.moment):
        posts = rows.get(sent.id)
        if sent.sender is None or not posts or sent.unit == 0:
            continue
        way = sent.sender, sent.target is None
        first = min(post.request.id for post in posts)
        if first < last_row.get(way, 0) and sent.id not in ledger.uncertain:
            raise Violation(f"message {sent.id} of {sent.sender} was written before an earlier one")
        last_row[way] = max(last_row.get(way, 0), *(post.request.id for post in posts))
    rank = {id: place for place, id in enumerate(sorted(ledger.sent, key=lambda one: ledger.sent[one].moment))}
    last: dict[tuple[str, str, str, bool], str] = {}
    for told in ledger.order:
        if not isinstance(told.event, MessageReceived):
            continue
        fields = orjson.loads(told.event.message)
        sent = ledger.sent[fields["id"]]
        sender = sent.sender or (fields.get("metadata") or {}).get("by")
        if sender is None or any(post.request.partition == QUEUED for post in rows[sent.id]):
            continue
        line = told.at.instance, sent.channel, sender, sent.target is None
        before = last.get(line)
        if before is not None and rank[sent.id] < rank[before]:
            raise Violation(f"{told.at.instance} received {sent.id} after {before}, and {sender} sent it before")
        last[line] = sent.id


def _check_events(ledger: Ledger) -> None:
    """A CloudEvent is given to an instance once."""
    seen: set[tuple[str, str, str]] = set()
    for told in ledger.order:
        if isinstance(told.event, EventReceived):
            fields = orjson.loads(told.event.event)
            one = told.at.instance, fields["source"], fields["id"]
            if one in seen:
                raise Violation(f"{one[0]} received event {one[2]!r} of {one[1]!r} twice")
            seen.add(one)
