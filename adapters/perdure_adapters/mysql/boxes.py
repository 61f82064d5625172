"""The statements that change instances' own mailboxes, whatever their number a few of many rows each."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.ports import QUEUED, Box
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.lists import chunks, joined, rows
from perdure_adapters.mysql.sending import INBOX, Statement
from perdure_adapters.mysql.values import quote

CHANNELS = "perdure_channels"
SUBSCRIPTIONS = "perdure_subscriptions"
WAITS = "perdure_waits"

COMPETING = "competing"

_HOLD = "update perdure_inbox force index (primary) set held = 1 where id in %s"
_RETURN = (
    f"update perdure_inbox force index (primary) set `partition` = {QUEUED}, instance_id = '', held = 0, queued = 0 "
    "where id in %s"
)
_LET_GO = (
    "update perdure_inbox b force index (perdure_inbox_held) set b.held = 0 "
    "where b.service = %s and b.instance_id in %s and b.held = 1"
)
_SUBSCRIBE = "replace into perdure_subscriptions (service, channel, instance_id, mode) values"
_MODE = "update perdure_channels force index (primary) set competing = %s where service = %s and channel in %s"
_UNSUBSCRIBE = (
    "delete s from {} v straight_join perdure_subscriptions s force index (primary) "
    "on s.service = %s and s.channel = v.channel and s.instance_id = v.id"
)
_WAIT = "replace into perdure_waits (service, `key`, instance_id, command) values"
_UNWAIT = (
    "delete w from {} v straight_join perdure_waits w force index (perdure_waits_instance) "
    "on w.service = %s and w.instance_id = v.id and w.command = v.command"
)
# With a join of its own, for the hint: a search would wait for the locks of others on its way.
_LEAVE_ALL = (
    "delete s from {} v straight_join perdure_subscriptions s force index (perdure_subscriptions_instance) "
    "on s.service = %s and s.instance_id = v.id"
)
_UNWAIT_ALL = (
    "delete w from {} v straight_join perdure_waits w force index (perdure_waits_instance) "
    "on w.service = %s and w.instance_id = v.id"
)


def changing(connection: Connection, service: str, boxes: Sequence[tuple[str, Box]]) -> list[Statement]:
    """Each with its instance's id. The channels subscribed to are locked."""
    found: list[Statement] = []
    prefix = quote(service).replace("%", "%%")
    modes = {channel: mode for _, box in boxes for channel, mode in box.subscribed}
    for competing in (0, 1):
        channels = sorted(channel for channel, mode in modes.items() if (mode == COMPETING) == bool(competing))
        found += [(CHANNELS, connection.sql(_MODE, competing, service, some)) for some in chunks(channels)]
    subscribed = {(channel, id): mode for id, box in boxes for channel, mode in box.subscribed}
    new = [(*place, mode) for place, mode in sorted(subscribed.items())]
    found += [(SUBSCRIPTIONS, one) for one in rows(_SUBSCRIBE, f"({prefix}, %s, %s, %s)", new)]
    old = sorted((channel, id) for id, box in boxes for channel in box.unsubscribed)
    found += [(SUBSCRIPTIONS, joined(_UNSUBSCRIBE, ("channel", "id"), some, service, keys=2)) for some in chunks(old)]
    waits = sorted((key, id, command) for id, box in boxes for command, key in box.waits)
    found += [(WAITS, one) for one in rows(_WAIT, f"({prefix}, %s, %s, %s)", waits)]
    over = sorted((id, command) for id, box in boxes for command in box.unwaited)
    found += [(WAITS, joined(_UNWAIT, ("id", "command"), some, service)) for some in chunks(over)]
    closed = sorted(id for id, box in boxes if box.closed)
    for ids in chunks([(id,) for id in closed]):
        found.append((SUBSCRIPTIONS, joined(_LEAVE_ALL, ("id",), ids, service)))
        found.append((WAITS, joined(_UNWAIT_ALL, ("id",), ids, service)))
    held = sorted(id for _, box in boxes for id in box.held)
    found += [(INBOX, connection.sql(_HOLD, some)) for some in chunks(held)]
    returned = sorted(id for _, box in boxes for id in box.returned)
    found += [(INBOX, connection.sql(_RETURN, some)) for some in chunks(returned)]
    found += [(INBOX, connection.sql(_LET_GO, service, some)) for some in chunks(closed)]
    return found
