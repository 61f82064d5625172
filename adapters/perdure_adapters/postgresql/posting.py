"""The parts of a statement that send mail: posts, answers, and what is withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.ports import Mail
from perdure_adapters.postgresql.parts import SENDER, Part, won

# `sent` has what is for whom, in order, and the partition that he is in; null where there is nobody.
# What is to be made `once`: the first of several with its key, and none that was seen before.
DELIVERED = """
unseen as (
  insert into perdure_seen (service, target, key, at)
  select $1, s.target, s.key, clock_timestamp() from sent s
  where s.once and s.key is not null and s."partition" is not null
  group by s.target, s.key order by s.target collate "C", s.key collate "C"
  on conflict (service, target, key) do nothing returning target, key
),
posted as (
  insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at, channel, key)
  select $1, s."partition", s.target, s.kind, s.data, clock_timestamp(), s.channel, s.key
  from (select sent.*, row_number() over (partition by target, key, once order by n) as nth from sent) s
  where s."partition" is not null
    and (s.key is null or not s.once or (s.nth = 1 and (s.target, s.key) in (select target, key from unseen)))
  order by s.n returning "partition"
)"""

#: An instance that has not ended, gone to by its key whatever the planner thinks of the table. (Joins would read
#: it whole for ever where it was empty when the statement was prepared.)
LIVE = """lateral (
    select i."partition" from perdure_instances i where i.service = $1 and i.id = {target} and i.ended_at is null
    offset 0
  ) i"""

_SENT = f"""
sent as materialized (
  select p.n, p.target, p.kind, p.data, p.channel, p.key, p.once,
    case when p.made >= 0 and p.target in (select id from {{created}}) then p.made else i."partition" end as "partition"
  from {{rows}} left join {LIVE.format(target="p.target")} on true where {won("p")}
),"""

# Whose partition is locked here by its epoch knows of it without being told.
TOLD = """
(select count(pg_notify({extra}, 'request ' || "partition")) from (
  select distinct "partition" from posted where "partition" >= 0 and "partition" <> all({other}::int4[])
) p)"""

# An upsert of rows that are there, and stay there: they are locked.
_REPLIED = f"""
replied as (
  insert into perdure_asks as a (service, id, expires_at, answer)
  select distinct on (r.ask) $1, r.ask, 'epoch', r.answer from {{rows}}
  cross join lateral (
    select 1 from perdure_asks q where q.service = $1 and q.id = r.ask and q.answer is null for update offset 0
  ) q
  where {won("r")} order by r.ask, r.n
  on conflict (service, id) do update set answer = excluded.answer where a.answer is null
  returning a.id, a.listeners
)"""

_WITHDRAWN = f"""
withdrawn as (
  delete from perdure_inbox where id = any(array(
    select b.id from {{rows}} cross join lateral (
      select b.id from perdure_inbox b where b.service = $1 and b.instance_id = w.target and b.key = w.key offset 0
    ) b where {won("w")}
  ))
)"""

_EMITTED = f"""
emitted as (
  insert into perdure_outbox (service, id, lane, "partition", status, data, attempts, due_at, created_at)
  select $1, e.event, e.lane, e."partition", 'pending', e.data, 0, 0, clock_timestamp() from {{rows}}
  where {won("e")} order by e.n returning "partition"
)"""

# Likewise.
_EMITTED_TOLD = """
(select count(pg_notify({extra}, 'emitted ' || "partition")) from (
  select distinct "partition" from emitted where "partition" <> all({other}::int4[])
) p)"""

_ASKED = """
asked as (
  insert into perdure_asks (service, id, expires_at, listeners)
  select $1, a.id, clock_timestamp() + a.ttl * interval '1 microsecond',
    case when a.listener is not null then array[a.listener] end
  from {rows}
  on conflict (service, id) do nothing
)"""

MAIL_PARTS = {
    "posts": Part(
        _SENT + DELIVERED,
        "p",
        {
            "n": "int4",
            **SENDER,
            "target": "text",
            "kind": "text",
            "data": "json",
            "channel": "text",
            "key": "text",
            "once": "bool",
            "made": "int4",
        },
        extra=2,
        answer=TOLD,
    ),
    "replies": Part(
        _REPLIED,
        "r",
        {"n": "int4", **SENDER, "ask": "text", "answer": "json"},
        answer="(select count(pg_notify(l, id)) from replied, unnest(listeners) l)",
    ),
    "withdrawn": Part(_WITHDRAWN, "w", {**SENDER, "target": "text", "key": "text"}),
    "emitted": Part(
        _EMITTED,
        "e",
        {"n": "int4", **SENDER, "event": "text", "lane": "text", '"partition"': "int4", "data": "json"},
        extra=2,
        answer=_EMITTED_TOLD,
    ),
    "asked": Part(_ASKED, "a", {"id": "text", "ttl": "int8", "listener": "text"}),
}


def posts(mails: Sequence[tuple[str, str, Mail]], made: dict[str, int]) -> list[tuple[Any, ...]]:
    """Rows, from (sender, condition, mail). `made`: the partitions of instances that come into being with it.

    Cancellations are not among them: they change rows that the statement may change already.
    """
    rows: list[tuple[Any, ...]] = []
    for sender, condition, mail in mails:
        withdrawn = set(mail.withdrawn)
        for post in mail.posts:
            if post.kind != "cancel" and (post.target, post.key) not in withdrawn:
                rows.append(
                    (
                        len(rows),
                        sender,
                        condition,
                        post.target,
                        post.kind,
                        post.data,
                        post.channel,
                        post.key,
                        post.once,
                        made.get(post.target, -1),
                    )
                )
    return rows


def replies(mails: Sequence[tuple[str, str, Mail]]) -> list[tuple[Any, ...]]:
    """In order of the questions, as they are locked."""
    given = [(sender, condition, *reply) for sender, condition, mail in mails for reply in mail.replies]
    return sorted(((n, *reply) for n, reply in enumerate(given)), key=_question)


def _question(row: tuple[Any, ...]) -> tuple[str, int]:
    return row[3], row[0]


def withdrawn(mails: Sequence[tuple[str, str, Mail]]) -> list[tuple[Any, ...]]:
    return [(sender, condition, *pair) for sender, condition, mail in mails for pair in mail.withdrawn]


def emissions(mails: Sequence[tuple[str, str, Mail]]) -> list[tuple[Any, ...]]:
    given = [(sender, condition, one) for sender, condition, mail in mails for one in mail.emissions]
    return [(n, *sender, one.id, one.lane, one.partition, one.data) for n, (*sender, one) in enumerate(given)]
