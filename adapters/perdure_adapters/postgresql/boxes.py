"""The parts of a statement that change mailboxes: what is held and given back, subscriptions, waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perdure.ports import Unit
from perdure_adapters.postgresql.parts import SENDER, Part, won

_KEPT = f"""
kept as (
  update perdure_inbox set held = true where id = any(array(select h.number from {{rows}} where {won("h")}))
)"""

_RETURNED = f"""
returned as (
  update perdure_inbox set "partition" = -1, instance_id = '', queued = false, held = false
  where id = any(array(select h.number from {{rows}} where {won("h")})) returning channel
)"""

_QUEUED = """
(select count(pg_notify({extra}, 'queued ' || channel)) from (select distinct channel from returned) q)"""

_SUBSCRIBED = f"""
subscribed as (
  insert into perdure_subscriptions (service, channel, instance_id, mode)
  select $1, s.channel, s.id, s.mode from {{rows}} where {won("s")}
  on conflict (service, channel, instance_id) do update set mode = excluded.mode
)"""

_MODES = f"""
modes as (
  insert into perdure_channels as c (service, channel, competing)
  select distinct on (s.channel) $1, s.channel, s.mode = 'competing' from {{rows}} where {won("s")} order by s.channel
  on conflict (service, channel) do update set competing = excluded.competing where c.competing <> excluded.competing
)"""

_UNSUBSCRIBED = f"""
unsubscribed as (
  delete from perdure_subscriptions where ctid = any(array(
    select t.ctid from {{rows}} cross join lateral (
      select t.ctid from perdure_subscriptions t
      where t.service = $1 and t.channel = s.channel and t.instance_id = s.id offset 0
    ) t where {won("s")}
  ))
)"""

_WAITED = f"""
waited as (
  insert into perdure_waits (service, key, instance_id, command)
  select $1, w.key, w.id, w.command from {{rows}} where {won("w")} on conflict do nothing
)"""

_UNWAITED = f"""
unwaited as (
  delete from perdure_waits where ctid = any(array(
    select t.ctid from {{rows}} cross join lateral (
      select t.ctid from perdure_waits t
      where t.service = $1 and t.instance_id = w.id and t.command = w.command offset 0
    ) t where {won("w")}
  ))
)"""

# What is deleted, or changed, elsewhere in the statement must not be changed here too: only one of them would count.
_EMPTIED = f"""
unbound as (
  delete from perdure_subscriptions where ctid = any(array(
    select t.ctid from {{rows}} cross join lateral (
      select t.ctid from perdure_subscriptions t where t.service = $1 and t.instance_id = c.id offset 0
    ) t where {won("c")}
  ))
),
unawaited as (
  delete from perdure_waits where ctid = any(array(
    select t.ctid from {{rows}} cross join lateral (
      select t.ctid from perdure_waits t where t.service = $1 and t.instance_id = c.id offset 0
    ) t where {won("c")}
  ))
),
shown as (
  update perdure_inbox set held = false where id = any(array(
    select t.id from {{rows}} cross join lateral (
      select t.id from perdure_inbox t where t.service = $1 and t.instance_id = c.id and t.held offset 0
    ) t where t.id <> all({{extra}}::int8[]) and {won("c")}
  ))
)"""

_RUNS = f"""
ran as (
  insert into perdure_runs (service, instance_id, run, ended_at)
  select $1, r.id, r.run, r.at from {{rows}} where {won("r")}
)"""

_MODE = {**SENDER, "channel": "text", "mode": "text"}

BOX_PARTS = {
    "held": Part(_KEPT, "h", {**SENDER, "number": "int8"}),
    "returned": Part(
        _RETURNED,
        "h",
        {**SENDER, "number": "int8"},
        extra=1,
        answer=_QUEUED,
    ),
    "subscribed": Part(_SUBSCRIBED, "s", _MODE),
    "modes": Part(_MODES, "s", _MODE),
    "unsubscribed": Part(_UNSUBSCRIBED, "s", {**SENDER, "channel": "text"}),
    "waits": Part(_WAITED, "w", {**SENDER, "command": "int8", "key": "text"}),
    "unwaited": Part(_UNWAITED, "w", {**SENDER, "command": "int8"}),
    "emptied": Part(_EMPTIED, "c", SENDER, extra=1),
    "runs": Part(_RUNS, "r", {**SENDER, "run": "int4", "at": "timestamptz"}),
}


def give_boxes(give: Callable[..., None], units: Sequence[Unit], condition: Callable[[Unit], str], told: str) -> None:
    """`give(part, rows, *extra)` for each part that is needed. `told`: the channel of notifications."""
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in BOX_PARTS}
    touched: list[int] = []
    for unit in units:
        box, who = unit.box, (unit.instance_id, condition(unit))
        touched += unit.inbox
        if unit.successor is not None:
            rows["runs"].append((*who, unit.run, unit.successor[4]))
        if not box:
            continue
        touched += box.returned
        rows["returned"] += [(*who, number) for number in box.returned]
        modes = dict(box.subscribed)
        rows["modes"] += [(*who, channel, mode) for channel, mode in modes.items()]
        rows["unsubscribed"] += [(*who, channel) for channel in box.unsubscribed]
        if box.closed:
            rows["emptied"].append(who)
            continue
        rows["held"] += [(*who, number) for number in box.held if number not in box.returned]
        gone = {*box.unsubscribed}
        rows["subscribed"] += [(*who, channel, mode) for channel, mode in modes.items() if channel not in gone]
        rows["waits"] += [(*who, command, key) for command, key in box.waits if command not in box.unwaited]
        rows["unwaited"] += [(*who, command) for command in box.unwaited]
    extra = {"returned": told, "emptied": touched}
    for name, some in rows.items():
        if some:
            give(name, some, *([extra[name]] if name in extra else []))
