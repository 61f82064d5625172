"""Cancellations, and what is published: sent in statements of their own, in the transaction of the rest.

A publication goes to whoever is subscribed while it has the channel's row locked, which it sees only in a
later statement than that which locks. A cancellation changes an instance that the commit may have changed,
and no statement can change a row twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from perdure.ports import Mail, Unit
from perdure_adapters.postgresql.channels import channel
from perdure_adapters.postgresql.posting import LIVE, TOLD

_MISSING = """
insert into perdure_channels (service, channel, competing)
select $1, c, false from unnest($2::text[]) as c order by c collate "C" on conflict (service, channel) do nothing
"""
# In the order of the names given.
_LOCK = """
select c.channel from unnest($2::text[]) as n (name)
cross join lateral (
  select c.channel from perdure_channels c where c.service = $1 and c.channel = n.name for {mode} {skip} offset 0
) c
"""
_KNOWN = _LOCK.replace("for {mode} {skip}", "")

# Whoever else is subscribed there: they are all so in one mode.
_MODES = """
select w.n, w.channel, s.mode from unnest($2::int4[], $3::text[], $4::text[]) as w (n, id, channel)
cross join lateral (
  select mode from perdure_subscriptions s where s.service = $1 and s.channel = w.channel and s.instance_id <> w.id
  limit 1
) s
"""

_PUBLISH = f"""
with given as materialized (
  select * from unnest($2::int4[], $3::text[], $4::json[], $5::text[]) as p (n, channel, data, key)
),
unseen as (
  insert into perdure_seen (service, target, key, at)
  select $1, chr(10) || p.channel, p.key, clock_timestamp() from given p where p.key is not null
  group by p.channel, p.key order by p.channel collate "C", p.key collate "C"
  on conflict (service, target, key) do nothing returning target, key
),
fresh as materialized (
  select p.n, p.channel, p.data, coalesce(c.competing, false) as competing
  from (select given.*, row_number() over (partition by channel, key order by n) as nth from given) p
  left join lateral (
    select c.competing from perdure_channels c where c.service = $1 and c.channel = p.channel offset 0
  ) c on true
  where p.key is null or (p.nth = 1 and (chr(10) || p.channel, p.key) in (select target, key from unseen))
),
posted as (
  insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at, channel)
  select $1, r."partition", r.id, 'message', r.data, clock_timestamp(), r.channel from (
    select f.n, -1 as "partition", '' as id, f.data, f.channel from fresh f where f.competing
    union all
    select f.n, i."partition", s.instance_id, f.data, f.channel from fresh f
    cross join lateral (
      select s.instance_id from perdure_subscriptions s where s.service = $1 and s.channel = f.channel offset 0
    ) s
    cross join {LIVE.format(target="s.instance_id")}
    where not f.competing
  ) r order by r.n, r.id returning "partition", channel
)
select {TOLD.format(extra="$6", other="$7")},
  (select count(pg_notify($6, 'queued ' || channel)) from (
    select distinct channel from posted where "partition" = -1
  ) q)
"""

# Who is compensating is about to end.
_UNLESS = "and i.status <> 'compensating' for no key update offset 0"

_CANCEL = f"""
with found as materialized (
  select c.*, i."partition" from (
    select * from unnest($2::int4[], $3::text[], $4::json[], $5::text[], $6::text[], $7::bool[])
      as p (n, target, data, channel, key, once)
    order by p.target collate "C", p.n
  ) c
  cross join {LIVE.format(target="c.target").replace("offset 0", _UNLESS)}
),
unseen as (
  insert into perdure_seen (service, target, key, at)
  select $1, f.target, f.key, clock_timestamp() from found f where f.once and f.key is not null
  group by f.target, f.key order by f.target collate "C", f.key collate "C"
  on conflict (service, target, key) do nothing returning target, key
),
first as materialized (
  select distinct on (f.target) f.* from found f
  where f.key is null or not f.once or (f.target, f.key) in (select target, key from unseen) order by f.target, f.n
),
flagged as (
  insert into perdure_instances as i (service, id, workflow, "partition", run, status, created_at, cancel_requested)
  select $1, f.target, '', 0, 0, '', 'epoch', f.data from first f order by f.target
  on conflict (service, id) do update set cancel_requested = excluded.cancel_requested
  where i.cancel_requested is null and i.ended_at is null returning i.id
),
posted as (
  insert into perdure_inbox (service, "partition", instance_id, kind, data, created_at, channel, key)
  select $1, f."partition", f.target, 'cancel', f.data, clock_timestamp(), f.channel, f.key from first f
  where f.target in (select id from flagged) order by f.n returning "partition"
)
select {TOLD.format(extra="$8", other="$9")}
"""


def cancelled(mail: Mail | None) -> list[str]:
    """Whom it is to cancel."""
    return [] if mail is None else [post.target for post in mail.posts if post.kind == "cancel"]


def _published(mail: Mail | None) -> list[str]:
    return [] if mail is None else [publication.channel for publication in mail.publications]


def subscribed(unit: Unit) -> dict[str, str]:
    return {} if unit.box is None else dict(unit.box.subscribed)


def alone(mail: Mail | None) -> bool:
    """Whether nothing of it needs another statement."""
    return not (cancelled(mail) or _published(mail))


def touched(unit: Unit) -> set[str]:
    """The channels whose rows it relies on."""
    return {*_published(unit.mail), *subscribed(unit)}


async def lock(
    connection: Any, service: str, published: Iterable[str], subscribed: Iterable[str] = (), skip: str = ""
) -> set[str]:
    """Lock the channels, and make those that are missing and subscribed to. Before anything else is locked.

    Returns those that others have locked, where they are skipped.
    """
    new, names = sorted(set(subscribed)), sorted({*published, *subscribed})
    if not names:
        return set()
    if new:
        await connection.execute(_MISSING, service, new)
    mode = "no key update" if new else "share"
    locked = {row[0] for row in await connection.fetch(_LOCK.format(mode=mode, skip=skip), service, names)}
    if not skip:
        return set()
    return {row[0] for row in await connection.fetch(_KNOWN, service, names)} - locked


async def modes(connection: Any, service: str, units: Sequence[Unit]) -> dict[tuple[int, str], str]:
    """The mode in which others are subscribed, by the unit's place and the channel. Of locked channels."""
    wanted = [(n, unit.instance_id, channel) for n, unit in enumerate(units) for channel in subscribed(unit)]
    if not wanted:
        return {}
    rows = await connection.fetch(_MODES, service, *map(list, zip(*wanted, strict=True)))
    return {(row["n"], row["channel"]): row["mode"] for row in rows}


async def publish(connection: Any, service: str, mails: Iterable[Mail | None], own: Sequence[int]) -> None:
    """Send what `build` has left, on channels that are locked. `own`: partitions whose owner need not be told."""
    sent = [mail for mail in mails if mail is not None]
    cancels = [post for mail in sent for post in mail.posts if post.kind == "cancel"]
    if cancels:
        rows = [(n, post.target, post.data, post.channel, post.key, post.once) for n, post in enumerate(cancels)]
        await connection.fetch(_CANCEL, service, *map(list, zip(*rows, strict=True)), channel(service), own)
    publications = [publication for mail in sent for publication in mail.publications]
    if publications:
        some = [(n, one.channel, one.data, one.key) for n, one in enumerate(publications)]
        await connection.fetch(_PUBLISH, service, *map(list, zip(*some, strict=True)), channel(service), own)
