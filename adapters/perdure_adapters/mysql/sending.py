"""The statements that send mail: a few of many rows each, whatever its length.

What has a key is sent if nobody has noted it in `perdure_seen`. That is found out first (`@perdure_fresh`), then
noted by a plain INSERT, which fails where somebody else was faster, and all is to be done again: two who use one
key at once never both get through.

Channels are locked in share mode, so that a message goes to whoever has subscribed before, or waits in the
queue, as the channel's mode is when it is committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from attrs import define, field

from perdure.ports import QUEUED, Mail, Post, Publication
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.lists import chunks, joined, portions, rows

#: The table that a statement writes to, and its text.
Statement: TypeAlias = tuple[str, str]

INSTANCES = "perdure_instances"
EVENTS = "perdure_events"
INBOX = "perdure_inbox"
SEEN = "perdure_seen"
ASKS = "perdure_asks"
OUTBOX = "perdure_outbox"

#: SET, not SELECT: its answer is a single packet.
_PUBLISHED = (
    "set @perdure = (select count(*) from perdure_channels force index (primary) "
    "where service = %s and channel in %s lock in share mode)"
)
# A lock on a row that may not be there yet.
_SUBSCRIBED = (
    "insert into perdure_channels (service, channel, competing) values (%s, %s, 0) "
    "on duplicate key update competing = competing"
)
_TARGETS = (
    "set @perdure = (select count(*) from perdure_instances force index (primary) "
    "where service = %s and id in %s for update)"
)
# Strings of 0 and 1, each in its place: quick to look up however many there are. By SELECT, as SET would lock what
# it reads: nobody's instance is locked to send him something.
_FRESH = (
    "select concat({earlier}, group_concat(if("
    "s.service is null and (v.anyway = 1 or (i.id is not null and i.ended_at is null)), _binary '1', _binary '0'"
    ") order by v.place separator '')) from {{}} v "
    "left join perdure_seen s force index (primary) on s.service = %s and s.target = v.target and s.`key` = v.k "
    "left join perdure_instances i force index (primary) on i.service = %s and i.id = v.target "
    "into @perdure_fresh"
)
IS_FRESH = "substring(@perdure_fresh, v.place, 1) = '1'"
_NOTE = (
    "insert into perdure_seen (service, target, `key`, at) "
    f"select %s, v.target, v.k, now(6) from {{}} v where {IS_FRESH}"
)
_CANCELLABLE = "i.ended_at is null and i.cancel_requested is null and i.status <> 'compensating'"
_CANCELS = (
    "select concat({earlier}, group_concat(if("
    f"{_CANCELLABLE} and (v.place = 0 or {IS_FRESH}), _binary '1', _binary '0'"
    ") order by v.n separator '')) from {{}} v "
    "left join perdure_instances i force index (primary) on i.service = %s and i.id = v.target "
    "into @perdure_cancels"
)
_FLAG = (
    "update {} v straight_join perdure_instances i force index (primary) on i.service = %s and i.id = v.target "
    "set i.cancel_requested = v.data where substring(@perdure_cancels, v.n, 1) = '1'"
)
_INSERT = "insert into perdure_inbox (service, `partition`, instance_id, kind, data, created_at, channel, `key`) "
_POST = (
    f"{_INSERT}select i.service, i.`partition`, i.id, v.kind, v.data, now(6), v.channel, v.k from {{}} v "
    "straight_join perdure_instances i force index (primary) on i.service = %s and i.id = v.target "
    f"where i.ended_at is null and (v.place = 0 or (v.place > 0 and {IS_FRESH}) "
    "or (v.place < 0 and substring(@perdure_cancels, -v.place, 1) = '1')) order by v.n"
)
# The same for one post, the usual case: without a derived table it is quicker.
_ONE_FRESH = (
    "select count(*) from perdure_instances i force index (primary) "
    "left join perdure_seen s force index (primary) on s.service = %s and s.target = %s and s.`key` = %s "
    "where i.service = %s and i.id = %s and i.ended_at is null and s.service is null into @perdure_fresh"
)
_ONE_NOTED = (
    "insert into perdure_seen (service, target, `key`, at) select %s, %s, %s, now(6) from dual where @perdure_fresh = 1"
)
_ONE_POST = (
    f"{_INSERT}select i.service, i.`partition`, i.id, %s, %s, now(6), %s, %s "
    "from perdure_instances i force index (primary) where i.service = %s and i.id = %s and i.ended_at is null"
)
_PUBLISH = (
    f"{_INSERT}select %s, if(c.competing = 1, {QUEUED}, i.`partition`), if(c.competing = 1, '', i.id), 'message', "
    "v.data, now(6), v.channel, null from {} v "
    "left join perdure_channels c force index (primary) on c.service = %s and c.channel = v.channel "
    "left join perdure_subscriptions s force index (primary) "
    "on s.service = %s and s.channel = v.channel and coalesce(c.competing, 0) = 0 "
    "left join perdure_instances i force index (primary) "
    "on i.service = %s and i.id = s.instance_id and i.ended_at is null "
    f"where (c.competing = 1 or i.id is not null) and (v.place = 0 or {IS_FRESH}) "
    "order by v.n, s.instance_id"
)
_ANSWER = (
    "update {} v straight_join perdure_asks a force index (primary) on a.service = %s and a.id = v.id "
    "set a.answer = v.answer where a.answer is null"
)
_EMIT = "insert into perdure_outbox (service, id, lane, `partition`, status, data, attempts, due_at, created_at) values"
_WITHDRAW = (
    "delete b from {} v straight_join perdure_inbox b force index (perdure_inbox_key) "
    "on b.service = %s and b.instance_id = v.target and b.`key` = v.k"
)


@define
class _Outgoing:
    """Mail without what is in it twice.

    `keyed`: (target, key), with 1 of publications, which need no instance. `cancels`: the first one of each target.
    """

    posts: list[Post] = field(factory=list)
    publications: list[Publication] = field(factory=list)
    keyed: dict[tuple[str, str], int] = field(factory=dict)
    cancels: dict[str, Post] = field(factory=dict)

    @classmethod
    def of(cls, mail: Mail) -> _Outgoing:
        found = cls()
        for post in mail.posts:
            if found._new(post.target, _once(post), 0) and (
                post.kind != "cancel" or found.cancels.setdefault(post.target, post) is post
            ):
                found.posts.append(post)
        for publication in mail.publications:
            if found._new(publication.target, publication.key, 1):
                found.publications.append(publication)
        return found

    def _new(self, target: str, key: str | None, anyway: int) -> bool:
        if key is None:
            return True
        if (target, key) in self.keyed:
            return False
        self.keyed[target, key] = anyway
        return True


def _once(post: Post) -> str | None:
    """The key, if a post with it counts once."""
    return post.key if post.once else None


def locks(
    connection: Connection, service: str, mail: Mail, updated: Iterable[str], subscribed: Iterable[str] = ()
) -> list[str]:
    """What is to be locked before: channels, in order, those `subscribed` to exclusively; and instances to cancel,
    with those that will be `updated` as well.
    """
    found: list[str] = []
    exclusively = set(subscribed)
    channels = sorted({publication.channel for publication in mail.publications} | exclusively)
    if exclusively:
        for one in channels:
            sql = connection.sql(_PUBLISHED, service, [one])
            found.append(connection.sql(_SUBSCRIBED, service, one) if one in exclusively else sql)
    else:
        found += [connection.sql(_PUBLISHED, service, some) for some in chunks(channels)]
    cancelled = {post.target for post in mail.posts if post.kind == "cancel"}
    if cancelled:
        found += [connection.sql(_TARGETS, service, some) for some in chunks(sorted({*cancelled, *updated}))]
    return found


def sending(connection: Connection, service: str, mail: Mail) -> list[Statement]:
    """Behind `locks`, in the same transaction. Those about `SEEN` fail where others were faster."""
    todo = _Outgoing.of(mail)
    if len(todo.posts) == 1 and not todo.publications and not todo.cancels:
        return _one(connection, service, todo.posts[0]) + _rest(service, mail)
    keyed = sorted((*pair, anyway) for pair, anyway in todo.keyed.items())
    places = {(target, key): place for place, (target, key, _) in enumerate(keyed, 1)}
    cancels = sorted(todo.cancels)
    turns = {target: -turn for turn, target in enumerate(cancels, 1)}

    def place(target: str, key: str | None) -> int:
        return 0 if key is None else places[target, key]

    def row(n: int, post: Post) -> tuple[object, ...]:
        where = turns[post.target] if post.kind == "cancel" else place(post.target, _once(post))
        return (post.target, n, where, post.kind, post.data, post.channel, post.key)

    found = fresh(service, keyed)
    found += _cancelling(service, [(id, place(id, _once(todo.cancels[id])), todo.cancels[id].data) for id in cancels])
    posts = [row(n, post) for n, post in enumerate(todo.posts)]
    names: Sequence[str] = ("target", "n", "place", "kind", "data", "channel", "k")
    found += [(INBOX, joined(_POST, names, some, service)) for some in portions(posts)]
    published = [(one.channel, n, place(one.target, one.key), one.data) for n, one in enumerate(todo.publications)]
    names = ("channel", "n", "place", "data")
    found += [(INBOX, joined(_PUBLISH, names, some, *[service] * 4)) for some in portions(published)]
    return found + _rest(service, mail)


def _one(connection: Connection, service: str, post: Post) -> list[Statement]:
    values = (post.kind, post.data, post.channel, post.key, service, post.target)
    insert = connection.sql(_ONE_POST, *values)
    key = _once(post)
    if key is None:
        return [(INBOX, insert)]
    place = (service, post.target, key)
    return [
        (SEEN, connection.sql(_ONE_FRESH, *place, service, post.target)),
        (SEEN, connection.sql(_ONE_NOTED, *place)),
        (INBOX, f"{insert} and @perdure_fresh = 1"),
    ]


def _rest(service: str, mail: Mail) -> list[Statement]:
    found = withdrawing(service, mail.withdrawn)
    answers = sorted(dict(reversed(mail.replies)).items())  # the first one counts
    found += [(ASKS, joined(_ANSWER, ("id", "answer"), pair, service)) for pair in portions(answers)]
    emitted = [(service, one.id, one.lane, one.partition, one.data) for one in mail.emissions]
    found += [(OUTBOX, one) for one in rows(_EMIT, "(%s, %s, %s, %s, 'pending', %s, 0, 0, now(6))", emitted)]
    return found


def _cancelling(service: str, cancels: Sequence[tuple[str, int, str]]) -> list[Statement]:
    """Find which of (target, place among the fresh, data) are not cancelled yet, and do it."""
    found: list[Statement] = []
    earlier = "''"
    for some in chunks([(target, n, place) for n, (target, place, _) in enumerate(cancels, 1)]):
        found.append((INSTANCES, joined(_CANCELS.format(earlier=earlier), ("target", "n", "place"), some, service)))
        earlier = "@perdure_cancels"
    for texts in portions([(target, n, data) for n, (target, _, data) in enumerate(cancels, 1)]):
        found.append((INSTANCES, joined(_FLAG, ("target", "n", "data"), texts, service)))
    return found


def fresh(service: str, keyed: Sequence[tuple[str, str, int]]) -> list[Statement]:
    """Find which of (target, key, `anyway`) are new, for `IS_FRESH` with their places from 1 on, and note them.

    Only what is `anyway` does not depend on a living instance of the target's name.
    """
    found: list[Statement] = []
    earlier = "''"
    for some in chunks([(target, key, place, anyway) for place, (target, key, anyway) in enumerate(keyed, 1)]):
        find = _FRESH.format(earlier=earlier)
        found.append((SEEN, joined(find, ("target", "k", "place", "anyway"), some, service, service, keys=2)))
        noted = [row[:3] for row in some]
        found.append((SEEN, joined(_NOTE, ("target", "k", "place"), noted, service, keys=2)))
        earlier = "@perdure_fresh"
    return found


def withdrawing(service: str, withdrawn: Sequence[tuple[str, str]]) -> list[Statement]:
    """Delete posts by (target, key)."""
    pairs = chunks(sorted(set(withdrawn)))
    return [(INBOX, joined(_WITHDRAW, ("target", "k"), some, service, keys=2)) for some in pairs]
