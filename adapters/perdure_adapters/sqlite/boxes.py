"""The mailboxes of a commit's instances: subscriptions, waits, and what stays for later."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TypeAlias

import orjson

from perdure.ports import Box, Unit
from perdure_adapters.sqlite.rows import write

_IN = "(select value from json_each(?))"
#: Of each channel two subscribers: whoever they are, all others but the one who asks have the mode of one of them.
_SUBSCRIBERS = (
    "select c.value, s.instance_id, s.mode from json_each(?2) c cross join perdure_subscriptions s "
    "on s.service = ?1 and s.channel = c.value and s.instance_id in (select o.instance_id "
    "from perdure_subscriptions o where o.service = ?1 and o.channel = c.value order by o.instance_id limit 2)"
)
_GIVE_BACK = "update perdure_inbox set \"partition\" = -1, instance_id = '', queued = 0, held = 0"

Owned: TypeAlias = tuple[Unit, Box]


def give_back(connection: sqlite3.Connection, where: str, values: Sequence[object]) -> None:
    """To the queues they came from."""
    connection.execute(f"{_GIVE_BACK} where {where}", values)


def refused(connection: sqlite3.Connection, service: str, units: Sequence[Unit]) -> set[int]:
    """Which units (by place) subscribe while others are subscribed in the other mode, or will be by a unit before."""
    wanted = {channel for unit in units if unit.box is not None for channel, _ in unit.box.subscribed}
    if not wanted:
        return set()
    known: dict[str, list[tuple[str, str]]] = {channel: [] for channel in wanted}
    for channel, instance_id, mode in connection.execute(_SUBSCRIBERS, (service, _json(list(wanted)))):
        known[channel].append((instance_id, mode))
    losers = set()
    for place, unit in enumerate(units):
        if unit.box is None:
            continue
        if any(
            other != unit.instance_id and theirs != mode
            for channel, mode in unit.box.subscribed
            for other, theirs in known[channel]
        ):
            losers.add(place)
            continue
        for channel, mode in unit.box.subscribed:
            if len(known[channel]) < 4:  # two of those stored, two of those before: as above
                known[channel].append((unit.instance_id, mode))
    return losers


def change(connection: sqlite3.Connection, service: str, units: Sequence[Unit]) -> None:
    """Within the caller's transaction."""
    owned = [(unit, unit.box) for unit in units if unit.box]
    if not owned:
        return
    held = [request for _, box in owned for request in box.held]
    if held:
        connection.execute(f"update perdure_inbox set held = 1 where id in {_IN}", (_json(held),))
    returned = [request for _, box in owned for request in box.returned]
    if returned:
        give_back(connection, f"id in {_IN}", (_json(returned),))
    _subscribe(connection, service, owned)
    _wait(connection, service, owned)
    closed = [unit.instance_id for unit, box in owned if box.closed]
    if closed:
        values = (service, _json(closed))
        connection.execute(f"delete from perdure_subscriptions where service = ? and instance_id in {_IN}", values)
        connection.execute(f"delete from perdure_waits where service = ? and instance_id in {_IN}", values)
        connection.execute(
            f"update perdure_inbox set held = 0 where service = ? and instance_id in {_IN} and held = 1", values
        )


def _subscribe(connection: sqlite3.Connection, service: str, owned: Sequence[Owned]) -> None:
    modes = {channel: mode for _, box in owned for channel, mode in box.subscribed}
    write(
        connection,
        "insert into perdure_channels (service, channel, competing)",
        [(service, channel, int(mode == "competing")) for channel, mode in modes.items()],
        "on conflict do update set competing = excluded.competing",
    )
    write(
        connection,
        "insert into perdure_subscriptions (service, channel, instance_id, mode)",
        [(service, channel, unit.instance_id, mode) for unit, box in owned for channel, mode in box.subscribed],
        "on conflict do update set mode = excluded.mode",
    )
    write(
        connection,
        "delete from perdure_subscriptions where (service, channel, instance_id) in (select * from (",
        [(service, channel, unit.instance_id) for unit, box in owned for channel in box.unsubscribed],
        "))",
    )


def _wait(connection: sqlite3.Connection, service: str, owned: Sequence[Owned]) -> None:
    write(
        connection,
        "insert into perdure_waits (service, key, instance_id, command)",
        [(service, key, unit.instance_id, command) for unit, box in owned for command, key in box.waits],
        "on conflict do nothing",
    )
    write(
        connection,
        "delete from perdure_waits where (service, key, instance_id, command) in "
        "(select w.service, w.key, w.instance_id, w.command from (",
        [(service, unit.instance_id, command) for unit, box in owned for command in box.unwaited],
        ") as v cross join perdure_waits w "
        "on w.service = v.column1 and w.instance_id = v.column2 and w.command = v.column3)",
    )


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()
