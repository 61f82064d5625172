"""Statements that fail where a unit of the batch must not be written.

With them before the writes and COMMIT behind these, a commit is one round trip: the server stops at
the first error, and so never comes to the COMMIT. They take the locks that judging takes, in its order.

How they fail: an unsigned number cannot be less than 0. `Connection.stops` says whether the server at
hand sees it so.
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.ports import Unit
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.lists import chunks, joined
from perdure_adapters.mysql.sending import locks
from perdure_adapters.mysql.writing import changed, mail_of

#: SET, not SELECT: its answer is a single packet.
_FENCE = (
    "set @perdure = (select cast(count(*) as unsigned) - %s from perdure_partitions force index (primary) "
    "where service = %s and ({}) lock in share mode)"
)
_PAIR = "(`partition` = %s and epoch = %s)"
_NOT_CANCELLED = (
    "set @perdure = (select cast(0 as unsigned) - count(cancel_requested) "
    "from perdure_instances force index (primary) where service = %s and id in %s for update)"
)
_NOT_GONE_ON = (
    "set @perdure = (select cast(0 as unsigned) - count(*) from {} v straight_join perdure_events e "
    "on e.service = %s and e.instance_id = v.id and e.run = v.run and e.seq = v.seq)"
)
_STILL_THERE = (
    "set @perdure = (select cast(count(*) as unsigned) - %s from perdure_inbox force index (primary) "
    "where id in %s for update)"
)


def guards(connection: Connection, service: str, units: Sequence[Unit]) -> list[str] | None:
    """None where they have to be judged one by one: others' subscriptions have to be read, or the server is odd."""
    if not connection.stops or any(unit.box and unit.box.subscribed for unit in units):
        return None
    found: list[str] = []
    pairs = sorted({(unit.partition, unit.epoch) for unit in units if unit.epoch is not None})
    if pairs:
        where = " or ".join(connection.sql(_PAIR, *pair) for pair in pairs)
        found.append(connection.sql(_FENCE.format(where), len(pairs), service))
    mail = mail_of(units)
    if mail is not None:
        found += locks(connection, service, mail, changed(units))
    endings = sorted(unit.instance_id for unit in units if unit.unless_cancelled and unit.create is None)
    found += [connection.sql(_NOT_CANCELLED, service, some) for some in chunks(endings)]
    heads = [(unit.instance_id, unit.run, unit.head + 1) for unit in units if not unit.events and unit.head is not None]
    for some in chunks(heads):
        found.append(joined(_NOT_GONE_ON, ("id", "run", "seq"), some, service))
    needed = sorted({id for unit in units for id in unit.needs})
    found += [connection.sql(_STILL_THERE, len(some), some) for some in chunks(needed)]
    return found
