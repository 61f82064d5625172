"""Transactions of activities: their own rows, and perdure's unit, together or not at all."""

from __future__ import annotations

import anyio
import pytest

from perdure.errors import Conflict, StoreError, UsageError
from perdure.ports import Box, Outcome, Projection, Refused, Unit
from perdure.testing.contract.notes import IDLE, Notes, nothing, prepare, works
from perdure.testing.contract.units import Opening, event, listed, told, write


class Transactions:
    """`begin`, and what becomes of it."""

    async def test_rows_and_unit_are_committed_together(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store, opened() as other:
            unit = (await prepare(store))["i"]
            unit.projection = Projection("waiting", 70)
            transaction = await store.begin(IDLE)
            await notes.put(transaction, 1, "ü😀 %s $1 ? 'x'")
            await notes.put(transaction, 2, "b")
            assert await notes.get(transaction, 1) == "ü😀 %s $1 ? 'x'"
            assert await notes.get(transaction, 3) is None
            assert await notes.count(transaction) == 2
            await nothing(other, notes)
            assert await transaction.commit(unit, 5) is Outcome.COMMITTED
            assert await notes.committed() == {1: "ü😀 %s $1 ? 'x'", 2: "b"}
            assert list(await other.history("i", 1))[1:] == unit.events
            row = await other.instance("i")
            assert row is not None
            assert (row.status, row.wake_at) == ("waiting", 70)
            assert await told(other) == [("j", '"post"'), ("j", '"published"')]
            assert [one.id for one in await other.outbox(None, 10, None)] == ["e"]
            again = list(await store.commit([unit], 5, again=True))
            assert again == [Outcome.COMMITTED], "the event has the commit's id"

    async def test_what_is_not_committed_never_was(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store:
            units = await prepare(store)
            transaction = await store.begin(IDLE)
            await notes.put(transaction, 1, "a")
            for _ in range(2):
                await transaction.rollback()
            await nothing(store, notes)
            await works(store, notes, units["i"])
            transaction = await store.begin(IDLE)
            assert await notes.get(transaction, 77) == "works"
            await notes.put(transaction, 1, "b")
            assert await transaction.commit(units["j"], 2) is Outcome.COMMITTED
            for _ in range(2):
                await transaction.rollback()
            assert await notes.committed() == {77: "works", 1: "b"}
            assert len(await store.history("j", 1)) == 3

    async def test_a_rollback_once_more_after_the_store_has_closed(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store:
            units = await prepare(store)
            async with opened() as closing:
                transaction = await closing.begin(IDLE)
                await notes.put(transaction, 1, "a")
                await transaction.rollback()
            await transaction.rollback()
            await works(store, notes, units["i"])

    @pytest.mark.parametrize("why", [Outcome.FENCED, Outcome.CANCEL_FIRST, Outcome.CONFLICT])
    async def test_who_loses_leavesnothing(self, opened: Opening, notes: Notes, why: Outcome) -> None:
        async with opened() as store, opened() as other:
            units = await prepare(store)
            unit = units["i"]
            if why is Outcome.CANCEL_FIRST:
                await other.request_cancel("i", "{}")
                (request,) = await listed(store)
                await write(store, Unit("i", unit.partition, unit.epoch, 1, [], box=Box(held=[request.id])))
                unit.unless_cancelled = True
            elif why is Outcome.CONFLICT:
                unit.needs = unit.inbox = [10**9]
            elif store.exclusive:
                await other.claim("thief", [(await other.census()).holdings[0]])
            transaction = await store.begin(IDLE)
            await notes.put(transaction, 1, "a")
            if why is Outcome.FENCED and not store.exclusive:
                with anyio.fail_after(60):
                    (stolen,) = await other.claim("thief", [(await other.census()).holdings[0]])
                assert stolen.owner == "thief", "an open transaction is in nobody's way"
            assert await transaction.commit(unit, 5) is why
            await transaction.rollback()
            await nothing(store, notes)
            await works(store, notes, units["j"])

    async def test_an_event_that_is_there_already(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store:
            units = await prepare(store)
            unit = units["i"]
            unit.events = [event(1)]
            transaction = await store.begin(IDLE)
            await notes.put(transaction, 1, "a")
            with pytest.raises(Conflict):
                await transaction.commit(unit, 5)
            await transaction.rollback()
            await nothing(store, notes)
            await works(store, notes, units["j"])

    async def test_an_event_that_never_fits(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store:
            units = await prepare(store)
            unit = units["i"]
            unit.events = [event(2), event(3, "\ud800")]
            transaction = await store.begin(IDLE)
            await notes.put(transaction, 1, "a")
            with pytest.raises(StoreError) as caught:
                await transaction.commit(unit, 5)
            assert not isinstance(caught.value, Refused), "these are not the user's rows"
            await nothing(store, notes)
            await works(store, notes, units["j"])

    async def test_savepoints_within_savepoints(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store:
            unit = (await prepare(store))["i"]
            transaction = await store.begin(IDLE)
            for id in (1, 2, 3):
                await notes.put(transaction, id, "a")
                await transaction.save()
            await notes.put(transaction, 4, "a")
            await transaction.restore()
            assert await notes.get(transaction, 4) is None
            assert await notes.count(transaction) == 3
            await transaction.release()
            await notes.put(transaction, 5, "a")
            await transaction.restore()
            assert [await notes.get(transaction, id) for id in (1, 2, 3, 4, 5)] == ["a", None, None, None, None]
            await transaction.save()
            await transaction.save()
            await notes.put(transaction, 4, "b")
            await transaction.release()
            await notes.put(transaction, 5, "b")
            await transaction.release()
            assert await notes.committed() == {}
            assert await transaction.commit(unit, 5) is Outcome.COMMITTED
            assert await notes.committed() == {1: "a", 4: "b", 5: "b"}

    async def test_a_savepoint_left_open_is_committed_too(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store:
            unit = (await prepare(store))["i"]
            transaction = await store.begin(IDLE)
            await transaction.save()
            await notes.put(transaction, 1, "a")
            await transaction.save()
            await notes.put(transaction, 2, "a")
            assert await transaction.commit(unit, 5) is Outcome.COMMITTED
            assert await notes.committed() == {1: "a", 2: "a"}
            assert len(await store.history("i", 1)) == 2

    async def test_a_failed_statement_is_undone_by_a_savepoint(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store:
            unit = (await prepare(store))["i"]
            transaction = await store.begin(IDLE)
            await notes.put(transaction, 1, "a")
            for _ in range(2):
                await transaction.save()
                await notes.put(transaction, 2, "a")
                with pytest.raises(notes.error):
                    await notes.fail(transaction)
                await transaction.restore()
            await notes.put(transaction, 3, "a")
            assert await transaction.commit(unit, 5) is Outcome.COMMITTED
            assert await notes.committed() == {1: "a", 3: "a"}

    async def test_a_failed_statement_spoils_its_transaction_at_most(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store:
            units = await prepare(store)
            transaction = await store.begin(IDLE)
            await notes.put(transaction, 1, "a")
            with pytest.raises(notes.error):
                await notes.fail(transaction)
            await transaction.rollback()
            await nothing(store, notes)
            transaction = await store.begin(IDLE)
            await notes.put(transaction, 1, "b")
            with pytest.raises(notes.error):
                await notes.fail(transaction)
            try:
                assert await transaction.commit(units["i"], 5) is Outcome.COMMITTED
            except StoreError:
                await nothing(store, notes)
            else:
                assert await notes.committed() == {1: "b"}
                assert len(await store.history("i", 1)) == 2
            await works(store, notes, units["j"])

    async def test_what_is_refused_at_the_end(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store:
            units = await prepare(store)
            transaction = await store.begin(IDLE)
            await notes.put(transaction, 1, "a")
            if not await notes.doom(transaction):
                await transaction.rollback()
                return
            with pytest.raises(Refused) as caught:
                await transaction.commit(units["i"], 5)
            assert isinstance(caught.value.__cause__, Exception)
            assert not isinstance(caught.value.__cause__, StoreError), "it is the driver's error"
            await transaction.rollback()
            await nothing(store, notes)
            await works(store, notes, units["i"])

    async def test_a_call_that_was_cut_off(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store:
            units = await prepare(store)
            transaction = await store.begin(IDLE)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await notes.put(transaction, 1, "a")
            await transaction.rollback()
            await nothing(store, notes)
            await works(store, notes, units["j"])

    async def test_statements(self, opened: Opening, notes: Notes) -> None:
        async with opened() as store:
            unit = (await prepare(store))["i"]
            transaction = await store.begin(IDLE)
            table, mark = notes.sql, notes.mark
            if table is None:
                for call in (transaction.execute, transaction.fetch):
                    with pytest.raises(UsageError):
                        await call("select 1", [])
                await transaction.rollback()
                return
            for id in (1, 2, 3):
                await notes.put(transaction, id, str(id))
            change = f"update {table} set body = {mark(1)} where id > {mark(2)}"
            assert await transaction.execute(change, ["x", 1]) == 2
            assert await transaction.execute(change, ["y", 5]) == 0
            assert await transaction.execute(f"delete from {table} where id = {mark(1)}", [3]) == 1
            found = await transaction.fetch(f"select id, body as words, null as missing from {table} order by id", ())
            assert [dict(row) for row in found] == [
                {"id": 1, "words": "1", "missing": None},
                {"id": 2, "words": "x", "missing": None},
            ]
            assert list(await transaction.fetch(f"select id from {table} where id = {mark(1)}", [9])) == []
            assert await transaction.commit(unit, 5) is Outcome.COMMITTED
            assert await notes.committed() == {1: "1", 2: "x"}
