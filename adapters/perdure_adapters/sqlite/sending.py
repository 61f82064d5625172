"""Mail on its way: all of a transaction's in a few statements, however much it is.

The caller's transaction is the only writer, so what is read here stays true until it ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import orjson
from attrs import frozen

from perdure.ports import Mail, Post, Publication
from perdure_adapters.sqlite.membership import now
from perdure_adapters.sqlite.rows import write

_TARGETS = (
    "select id, \"partition\", cancel_requested is not null or status = 'compensating' from perdure_instances "
    "where service = ? and id in (select value from json_each(?)) and ended_at is null"
)
_COMPETING = (
    "select channel from perdure_channels "
    "where service = ? and channel in (select value from json_each(?)) and competing = 1"
)
_INSERT_SEEN = "insert into perdure_seen (service, target, key, at)"
_INSERT_POSTS = 'insert into perdure_inbox (service, "partition", instance_id, kind, data, channel, key, created_at)'
_CANCEL = "update perdure_instances set cancel_requested = v.column3 from ("
_INSERT_QUEUED = 'insert into perdure_inbox (service, "partition", instance_id, kind, channel, data, created_at)'
_INSERT_HEARD = (
    'insert into perdure_inbox (service, "partition", instance_id, kind, channel, data, created_at) '
    "select s.service, i.\"partition\", i.id, 'message', s.channel, v.column3, v.column4 from ("
)
_HEARD = (
    ") as v cross join perdure_subscriptions s on s.service = v.column1 and s.channel = v.column2 "
    "cross join perdure_instances i on i.service = s.service and i.id = s.instance_id "
    "where i.ended_at is null order by v.column5, s.instance_id"
)
_ANSWER = "update perdure_asks set answer = v.column3 from ("
_ANSWERED = (
    ") as v where perdure_asks.service = v.column1 and perdure_asks.id = v.column2 and perdure_asks.answer is null"
)
_INSERT_PARCELS = (
    'insert into perdure_outbox (service, id, lane, "partition", status, data, attempts, due_at, created_at)'
)
_WITHDRAW = "delete from perdure_inbox where id in (select i.id from ("
_WITHDRAWN = (
    ") as v cross join perdure_inbox i on i.service = v.column1 and i.instance_id = v.column2 "
    "and i.key = v.column3 and i.key is not null)"
)


@frozen
class _Target:
    partition: int
    cancellable: bool


def send(connection: sqlite3.Connection, service: str, mails: Sequence[Mail]) -> None:
    """Within the caller's transaction."""
    posts = [post for mail in mails for post in mail.posts]
    publications = [publication for mail in mails for publication in mail.publications]
    if posts:
        _post(connection, service, posts)
    if publications:
        _publish(connection, service, publications)
    replies: dict[str, str] = {}
    for mail in mails:
        for id, answer in mail.replies:
            replies.setdefault(id, answer)
    write(connection, _ANSWER, [(service, id, answer) for id, answer in replies.items()], _ANSWERED)
    emissions = [emission for mail in mails for emission in mail.emissions]
    if emissions:
        at = now()
        rows = [(service, one.id, one.lane, one.partition, "pending", one.data, 0, 0, at) for one in emissions]
        write(connection, _INSERT_PARCELS, rows)
    withdrawn = [(service, target, key) for mail in mails for target, key in mail.withdrawn]
    write(connection, _WITHDRAW, withdrawn, _WITHDRAWN)


def _post(connection: sqlite3.Connection, service: str, posts: Sequence[Post]) -> None:
    wanted = _json({post.target for post in posts})
    targets = {id: _Target(place, flag == 0) for id, place, flag in connection.execute(_TARGETS, (service, wanted))}
    live = [post for post in posts if post.target in targets]
    at = now()
    first = _first(connection, service, at, [(post.target, post.key if post.once else None) for post in live])
    cancels: dict[str, str] = {}
    rows = []
    for post, new in zip(live, first, strict=True):
        if not new:
            continue
        target = targets[post.target]
        if post.kind == "cancel":
            if not target.cancellable or post.target in cancels:
                continue
            cancels[post.target] = post.data
        rows.append((service, target.partition, post.target, post.kind, post.data, post.channel, post.key, at))
    write(
        connection,
        _CANCEL,
        [(service, id, data) for id, data in cancels.items()],
        ") as v where perdure_instances.service = v.column1 and perdure_instances.id = v.column2",
    )
    write(connection, _INSERT_POSTS, rows)


def _publish(connection: sqlite3.Connection, service: str, publications: Sequence[Publication]) -> None:
    at = now()
    first = _first(connection, service, at, [(one.target, one.key) for one in publications])
    todo = [publication for publication, new in zip(publications, first, strict=True) if new]
    wanted = _json({publication.channel for publication in todo})
    competing = {channel for (channel,) in connection.execute(_COMPETING, (service, wanted))}
    queued = [one for one in todo if one.channel in competing]
    write(connection, _INSERT_QUEUED, [(service, -1, "", "message", one.channel, one.data, at) for one in queued])
    heard = [one for one in todo if one.channel not in competing]
    rows = [(service, one.channel, one.data, at, number) for number, one in enumerate(heard)]
    write(connection, _INSERT_HEARD, rows, _HEARD)


def _first(connection: sqlite3.Connection, service: str, at: int, keys: Sequence[tuple[str, str | None]]) -> list[bool]:
    """Which of these (target, key) are new; they are known from now on. Without a key it is always new."""
    rows = [(service, target, key, at) for target, key in keys if key is not None]
    new = set(write(connection, _INSERT_SEEN, rows, "on conflict do nothing returning target, key"))
    found = []
    for one in keys:
        found.append(one[1] is None or one in new)
        new.discard(one)
    return found


def _json(values: Iterable[str]) -> str:
    return orjson.dumps(list(values)).decode()
