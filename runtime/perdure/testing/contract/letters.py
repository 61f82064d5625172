"""What callers write in transactions of their own."""

from __future__ import annotations

import pytest

from perdure.errors import UsageError
from perdure.ports import Box, Emission, Holding, Letter, Mail, Outcome, Post, Publication, Store
from perdure.testing.contract.news import News, watching
from perdure.testing.contract.units import (
    Database,
    Opening,
    event,
    more,
    note,
    own,
    populate,
    publications,
    told,
    write,
)

_ALL = (0, 1, 2, 3)


def letter(key: str, partition: int = 0, *, kind: str = "send", body: str = "{}") -> Letter:
    return Letter(partition, kind, key, body)


class _Writing:
    """Writes in transactions that the store has begun itself, and that end with an event of an instance."""

    def __init__(self, store: Store, place: Holding, instance: str = "i") -> None:
        self._store = store
        self._place = place
        self._instance = instance
        self._seq = 1

    async def put(self, *given: Letter | Emission, undo: bool = False) -> None:
        transaction = await self._store.begin(5.0)
        guest = self._store.guest(transaction)
        for one in given:
            await (guest.write(one) if isinstance(one, Letter) else guest.emit(one))
        if undo:
            await transaction.rollback()
            return
        self._seq += 1
        assert await transaction.commit(more(self._instance, self._place, event(self._seq)), self._seq) is (
            Outcome.COMMITTED
        )


async def _keys(store: Store, *partitions: int) -> list[str]:
    return [one.key for one in await store.letters(partitions or _ALL, 1000, 0)]


async def _numbers(store: Store) -> dict[str, int]:
    return {one.key: one.number for one in await store.letters(_ALL, 1000, 0)}


async def _epochs(store: Store) -> dict[int, int]:
    return {holding.partition: holding.epoch for holding in (await store.census()).holdings}


class Letters:
    """What is written is there once it is committed, and is carried out once."""

    async def test_letters_are_there_when_they_are_committed(self, opened: Opening) -> None:
        async with opened() as store, opened() as other:
            writing = _Writing(store, (await populate(store, "i"))["i"])
            body = '{"b":1.50, "a":"\\u00e9\\ud83d\\ude00 \'x\' \\"y\\" \\\\ :service %s $1 ?", "a":1E2}'
            mine = [letter("a", 3, body=body), letter("ü😀'", 0, kind="start"), letter("a", 1, kind="publish")]
            await writing.put(letter("no"), undo=True)
            await writing.put(*mine)
            found = await other.letters(_ALL, 10, 0)
            assert [Letter(one.partition, one.kind, one.key, one.body) for one in found] == mine
            assert [one.number for one in found] == sorted({one.number for one in found} - {0})

    async def test_the_letters_of_partitions_page_by_page(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            writing = _Writing(store, (await populate(store, "i"))["i"])
            stranger = _Writing(other, (await populate(other, "i"))["i"])
            for n in range(12):
                await writing.put(letter(f"k{n}", n % 4))
            await stranger.put(letter("no", 1))
            assert await _keys(store) == [f"k{n}" for n in range(12)]
            assert await _keys(store, 1, 3) == ["k1", "k3", "k5", "k7", "k9", "k11"]
            assert list(await store.letters([], 10, 0)) == []
            assert await _keys(other) == ["no"]
            seen: list[Letter] = []
            while page := await store.letters([0, 1, 2], 4, seen[-1].number if seen else 0):
                assert len(page) <= 4
                seen += page
            assert [one.key for one in seen] == [f"k{n}" for n in range(12) if n % 4 != 3]

    async def test_carrying_out_deletes_and_sends_in_order(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j")
            writing = _Writing(store, places["i"])
            await write(store, more("j", places["j"], event(2), box=Box(subscribed=[("c", "broadcast")])))
            await writing.put(*(letter(key) for key in "abcd"))
            numbers = await _numbers(store)
            said = {
                numbers["a"]: Mail(posts=[note("j", '"1"')]),
                numbers["b"]: None,
                numbers["c"]: Mail(posts=[note("j", '"2"'), note("nobody", '"3"')]),
            }
            await store.carry_out({**said, 10**9: Mail(posts=[note("j", '"no"')])}, await _epochs(store))
            assert await told(store) == [("j", '"1"'), ("j", '"2"')]
            assert await _keys(store) == ["d"]
            await store.carry_out(said, await _epochs(store))
            assert await told(store) == [("j", '"1"'), ("j", '"2"')], "what is gone is not sent again"
            await store.carry_out({numbers["d"]: publications("c", '"4"')}, await _epochs(store))
            assert await told(store) == [("j", '"1"'), ("j", '"2"'), ("j", '"4"')]
            await store.carry_out({}, await _epochs(store))

    async def test_only_the_owner_carries_out(self, opened: Opening) -> None:
        async with opened() as store, opened() as thief:
            places = await populate(store, "i", "j", "k", "l")
            writing = _Writing(store, places["l"], "l")
            await writing.put(letter("a", 0), letter("b", 1), letter("c", 2))
            numbers, epochs = await _numbers(store), await _epochs(store)
            await thief.claim("thief", [places["j"]])
            mails: dict[int, Mail | None] = {
                number: Mail(posts=[note("l", f'"{key}"')]) for key, number in numbers.items()
            }
            await store.carry_out(mails, {0: epochs[0], 1: epochs[1]})
            assert await told(store) == [("l", '"a"')]
            assert await _keys(store) == ["b", "c"]
            await thief.carry_out(mails, await _epochs(store))
            assert await told(store) == [("l", '"a"'), ("l", '"b"'), ("l", '"c"')]
            await store.carry_out(mails, {})
            assert await _keys(store) == []

    async def test_letters_of_another_service_are_let_be(self, opened: Opening) -> None:
        async with opened() as store, opened("other") as other:
            await own(store)
            stranger = _Writing(other, (await populate(other, "i"))["i"])
            await stranger.put(letter("a"), letter("i", kind="start"))
            numbers = await _numbers(other)
            await store.carry_out(dict.fromkeys(numbers.values()), await _epochs(store))
            assert await _keys(other) == ["a", "i"]
            assert await store.to_start("i") is None

    async def test_what_is_to_be_done_once_is(self, opened: Opening) -> None:
        async with opened() as store:
            places = await populate(store, "i", "j")
            writing = _Writing(store, places["i"])
            await write(store, more("j", places["j"], event(2), box=Box(subscribed=[("c", "broadcast")])))
            await writing.put(*(letter(key) for key in "abcd"))
            post = Mail(posts=[Post("j", "message", '"once"', "x", "k")])
            publication = Mail(publications=[Publication("c", '"said"', "k")])
            mails = dict(zip((await _numbers(store)).values(), [post, publication, post, publication], strict=True))
            await store.carry_out(mails, await _epochs(store))
            assert sorted(await told(store)) == [("j", '"once"'), ("j", '"said"')]

    async def test_who_is_to_be_started(self, opened: Opening) -> None:
        async with opened() as store, opened() as other:
            writing = _Writing(store, (await populate(store, "i"))["i"])
            assert await other.to_start("x") is None
            await writing.put(letter("x"), letter("X", kind="start"), letter("x ", kind="start"))
            assert await other.to_start("x") is None
            await writing.put(letter("x", 2, kind="start", body='{"a":1}'), letter("x", 2, kind="start"))
            found = await other.to_start("x")
            assert found is not None
            assert (found.partition, found.kind, found.key, found.body) == (2, "start", "x", '{"a":1}')
            assert found.number > 0

    async def test_emissions_are_in_the_outbox_when_they_are_committed(self, opened: Opening) -> None:
        async with opened() as store:
            writing = _Writing(store, (await populate(store, "i"))["i"])
            await writing.put(Emission("no", "l", 0, "{}"), undo=True)
            mine = [Emission("é", "l", 1, '{"a":"x"}'), Emission("2", "ü😀", 2, '"\\u00e9"')]
            await writing.put(*mine)
            found = await store.parcels(_ALL, 0, [], 10)
            assert [(one.id, one.lane, one.data, one.status, one.attempts) for one in found] == [
                (one.id, one.lane, one.data, "pending", 0) for one in mine
            ]
            assert [one.id for one in await store.parcels([2], 0, [], 10)] == ["2"]

    async def test_owners_are_told_of_letters_and_emissions(self, opened: Opening, database: Database) -> None:
        news = News()
        async with watching(database(), news) as store, opened() as caller:
            writing = _Writing(caller, (await populate(store, "i"))["i"])
            news.forget()
            await writing.put(letter("a", 3))
            await news.hears("lettered", 3)
            news.forget()
            await writing.put(Emission("e", "l", 2, "{}"))
            await news.hears("emitted", 2)

    async def test_what_is_no_connection_is_refused(self, opened: Opening) -> None:
        async with opened() as store:
            for odd in (None, "connection", object()):
                with pytest.raises(UsageError, match=r"app\.using"):
                    store.guest(odd)
