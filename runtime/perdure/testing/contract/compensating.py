"""Instances that take back what they did: what is known of it, and no cancelling meanwhile."""

from __future__ import annotations

import pytest

from perdure.errors import InstanceNotFound, NotCancellable, UsageError
from perdure.ports import Box, Due, Filter, InstanceRow, Mail, Outcome, Post, Projection, Store, Unit
from perdure.testing.contract.news import News, watching
from perdure.testing.contract.units import (
    MINUTE,
    Database,
    Opening,
    birth,
    event,
    listed,
    more,
    note,
    own,
    populate,
    told,
    write,
)

_PENDING = '[{"name":"réfund","outcome":"pending","error":null}]'
_FAILED = (
    '[{"name":"refund","outcome":"completed","error":null},'
    ' {"name": "réfund", "outcome" : "failed", "error": {"type":"b","a":1.50}}]'
)
#: None of these has failed, though the word is in it.
_FINE = '[{"name":"failed","outcome":"completed","error":"\\"outcome\\":\\"failed\\""}]'


async def _row(store: Store, id: str) -> InstanceRow:
    row = await store.instance(id)
    assert row is not None
    return row


def _compensating(undo: str | None = _PENDING) -> Projection:
    return Projection("compensating", 70, undo=undo)


class Compensating:
    """The status "compensating", and the column `undo`."""

    async def test_what_compensations_come_to_is_kept(self, opened: Opening) -> None:
        async with opened() as store:
            held = (await own(store))[0]
            started = birth("i", 0, held.epoch)
            started.projection = Projection("running", 0, undo=_PENDING)
            await write(store, started, birth("j", 0, held.epoch))
            assert [(await _row(store, id)).undo for id in "ij"] == [_PENDING, None]
            await write(
                store, more("i", held, event(2), projection=Projection("waiting", 5)), more("j", held, event(2))
            )
            await write(store, more("j", held, event(3), projection=_compensating()))
            assert [(await _row(store, id)).undo for id in "ij"] == [_PENDING, _PENDING]
            await write(store, more("i", held, event(3), projection=Projection("failed", None, 50, "{}", undo=_FAILED)))
            assert [(await _row(store, id)).undo for id in "ij"] == [_FAILED, _PENDING]
            ending = await store.ending("i")
            assert ending is not None
            (stored,) = await store.load(["i"])
            (found,) = await store.find(Filter(status="failed"))
            assert [row.undo for row in (ending[0], stored.instance, found)] == [_FAILED] * 3

    async def test_a_new_run_has_nothing_to_take_back(self, opened: Opening) -> None:
        async with opened() as store:
            held = (await own(store))[0]
            await write(store, birth("i", 0, held.epoch), birth("j", 0, held.epoch))
            await write(store, *(more(id, held, event(2), projection=_compensating()) for id in "ij"))
            unit = Unit("i", 0, held.epoch, 1, [event(3)], projection=Projection("running", 0))
            unit.successor = (1, "RunStarted", None, "w", 10, '"first"')
            await write(store, unit)
            assert [(await _row(store, id)).undo for id in "ij"] == [None, _PENDING]
            later = more("i", held, event(2), projection=Projection("running", 0, undo=_FAILED))
            later.run = 2
            await write(store, later)
            assert (await _row(store, "i")).undo == _FAILED

    async def test_a_recorded_cancellation_comes_first(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            held = (await own(store))[0]
            await write(store, birth("i", 0, held.epoch), birth("j", 0, held.epoch))
            await client.request_cancel("i", "{}")
            box = Box(subscribed=[("c", "broadcast")])
            units = [more(id, held, event(2), projection=_compensating(), box=box) for id in "ij"]
            for unit in units:
                unit.unless_cancelled = True
            assert list(await store.commit(units, 1)) == [Outcome.CANCEL_FIRST, Outcome.COMMITTED]
            cancelled, row = [await _row(store, id) for id in "ij"]
            assert (cancelled.status, cancelled.undo, len(await store.history("i", 1))) == ("running", None, 1)
            assert (row.status, row.wake_at, row.ended_at, row.undo) == ("compensating", 70, None, _PENDING)
            assert [one.id for one in await store.find(Filter(status="compensating"))] == ["j"]
            assert list(await store.due([0], 70, 71, limit=10, after=None)) == [Due("j", 0, 70)]
            await store.post(Mail(posts=[note("j", '"it goes on"')]))
            assert (await told(store))[-1] == ("j", '"it goes on"')
            assert await store.purge((await store.census()).now + MINUTE, 10) == 0

    async def test_who_compensates_is_not_cancelled(self, opened: Opening) -> None:
        async with opened() as store, opened() as client:
            places = await populate(store, "i", "j")
            await write(store, *(more(id, place, event(2), projection=_compensating()) for id, place in places.items()))
            with pytest.raises(NotCancellable, match="compensation"):
                await client.request_cancel("i", "{}")
            await client.post(
                Mail(posts=[Post("j", "cancel", "{}", key="k"), note("j", "1"), Post("i", "cancel", "{}")])
            )
            assert await told(store) == [("j", "1")]
            assert [(await _row(store, id)).cancel_requested for id in "ij"] == [None, None]

    async def test_who_compensates_for_a_cancellation_is_not_cancelled_again(self, opened: Opening) -> None:
        async with opened() as store:
            place = (await populate(store, "i"))["i"]
            await store.request_cancel("i", '"a"')
            (request,) = await listed(store)
            await write(store, more("i", place, event(2), projection=_compensating(), inbox=[request.id]))
            with pytest.raises(NotCancellable):
                await store.request_cancel("i", '"b"')
            await store.post(Mail(posts=[Post("i", "cancel", '"c"')]))
            assert await listed(store) == []
            assert (await _row(store, "i")).cancel_requested == '"a"'

    async def test_what_failed_is_tried_again(self, opened: Opening, database: Database) -> None:
        news = News()
        async with watching(database(), news) as store, opened() as client:
            places = await populate(store, "i", "j")
            await store.request_cancel("j", '"a"')
            (request,) = await listed(store)
            ended = Projection("cancelled", None, 50, '{"type":"x"}', undo=_FAILED)
            last = more("j", places["j"], event(2), projection=ended, inbox=[request.id], box=Box(closed=True))
            await write(store, last)
            before = await _row(store, "j")
            news.forget()
            await client.request_compensation("j")
            await news.hears("requested", 1)
            row = await _row(store, "j")
            assert (row.status, row.wake_at, row.ended_at, row.undo) == ("compensating", 0, None, _FAILED)
            assert (row.cancel_requested, row.error, row.run) == (before.cancel_requested, before.error, before.run)
            assert row.cancel_requested == '"a"'
            (asked,) = await listed(store)
            assert (asked.kind, asked.instance_id, asked.partition) == ("load", "j", 1)
            assert list(await store.due([1], 0, 1, limit=10, after=None)) == [Due("j", 1, 0)]
            with pytest.raises(UsageError):
                await client.request_compensation("j")
            assert await listed(store) == [asked]
            assert await store.purge((await store.census()).now + MINUTE, 10) == 0
            again = Projection("cancelled", None, 60, undo=_FINE)
            await write(store, more("j", places["j"], event(3), projection=again, inbox=[asked.id]))
            assert (await _row(store, "j")).ended_at == 60
            assert await store.purge((await store.census()).now + MINUTE, 10) == 1

    async def test_what_there_is_not_to_try_again(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            held = (await own(store))[0]
            projections = {
                "running": Projection("running", 5),
                "compensating": _compensating(_FAILED),
                "nothing": Projection("failed", None, 50),
                "fine": Projection("failed", None, 50, undo=_FINE),
                "pending": Projection("failed", None, 50, undo=_PENDING),
                "ended": Projection("failed", None, 50, undo=_FAILED),
            }
            for id, projection in projections.items():
                unit = birth(id, 0, held.epoch)
                unit.projection = projection
                await write(store, unit)
            before = [await _row(store, id) for id in projections]
            for id in list(projections)[:-1]:
                with pytest.raises(UsageError) as caught:
                    await store.request_compensation(id)
                assert not isinstance(caught.value, InstanceNotFound)
                assert id in str(caught.value)
            with pytest.raises(InstanceNotFound):
                await store.request_compensation("no")
            await own(other)
            with pytest.raises(InstanceNotFound):
                await other.request_compensation("ended")
            assert [await _row(store, id) for id in projections] == before
            assert await listed(store) == []
            assert await listed(other) == []
