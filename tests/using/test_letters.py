"""The part of a worker that carries letters out, on a store that refuses some."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Mapping, Sequence

import pytest

from faults.processes import until
from leases.robbing import robbed
from perdure import App, StoreError, StoreUnavailable
from perdure.mail.letters import to_publish, to_send, to_start
from perdure.ports import InstanceRow, Letter, Mail, Outcome, Unit
from perdure.testing.memory import MemoryStore
from using.workflows import ALL, collect, listen, quick

PARTITIONS = 4


class Refusing(MemoryStore):
    """Whatever has to do with "poison", and all that comes along with it."""

    async def commit(
        self, units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
    ) -> Sequence[Outcome]:
        if any(unit.instance_id == "poison" for unit in units):
            raise StoreError("this row will never fit")
        return await super().commit(units, commit_id, again=again, wait=wait)

    async def carry_out(self, mails: Mapping[int, Mail | None], epochs: Mapping[int, int]) -> Collection[int]:
        posts = [post for mail in mails.values() if mail is not None for post in mail.posts]
        if any("poison" in post.data for post in posts):
            raise StoreError("this row will never fit")
        return await super().carry_out(mails, epochs)


async def test_what_the_database_refuses_stays_and_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    app = App(f"memory://{uuid.uuid4().hex}", workflows=ALL, partitions=PARTITIONS)
    stores: list[Refusing] = []

    def make(url: str, service: str) -> Refusing:
        stores.append(Refusing(url, service))
        return stores[-1]

    app._make_store = make
    async with app:
        database = stores[0].database
        listening = await app.start(listen)
        collecting = await app.start(collect.options(id="c"), "end")
        await until(lambda: database.subscriptions)

        def said(what: str) -> Letter:
            text = f'{{"id":"{what}","at":0,"data":"{what}"}}'
            return to_send("c", "in", text, what, PARTITIONS, once=False)

        letters = [
            *(to_start(f"s{n}", "quick", None, f'{{"what":"{n}"}}', PARTITIONS) for n in range(3)),
            to_start("poison", "quick", None, '{"what":"x"}', PARTITIONS),
            *(to_start(f"s{n}", "quick", None, f'{{"what":"{n}"}}', PARTITIONS) for n in range(2, 6)),
            *(said(what) for what in ("1", "poison", "2", "3", "poison", "end")),
            to_publish("news", '{"id":"n","at":0,"data":"news"}', "n", PARTITIONS, once=True),
        ]
        for letter in letters:
            database.leave(letter)
        with caplog.at_level(logging.ERROR):
            for _, watcher in database.watchers:
                watcher.lettered(None)
            assert [await app.handle(quick, f"s{n}").result(timeout=60) for n in range(6)] == list("012345")
            assert await collecting.result(timeout=60) == ["1", "2", "3", "end"]
            assert await listening.result(timeout=60) == "news"
            await until(lambda: len(database.letters) == 3)
        assert caplog.text.count("this row will never fit") == 3
        assert sorted(letter.key for letter in database.letters.values()) == ["poison"] * 3


async def test_what_other_code_has_written_is_run_as_it_can_be() -> None:
    app = App(f"memory://{uuid.uuid4().hex}", workflows=ALL, partitions=PARTITIONS)
    stores: list[MemoryStore] = []

    def make(url: str, service: str) -> MemoryStore:
        stores.append(MemoryStore(url, service))
        return stores[-1]

    app._make_store = make
    async with app:
        database = stores[0].database
        database.leave(to_start("labelled", "quick", "2", '{"what":"x"}', PARTITIONS))
        database.leave(to_start("misfit", "quick", None, '{"what":5}', PARTITIONS))
        database.leave(to_start("asked for", "quick", None, '{"what":"y"}', PARTITIONS))
        assert (await app.lookup("asked for")).id == "asked for", "whoever asks does not wait"
        for _, watcher in database.watchers:
            watcher.lettered(None)
        assert await app.handle(quick, "labelled").result(timeout=60) == "x"
        assert (await app.handle(quick, "labelled").info()).version == "2"
        assert await app.handle(quick, "asked for").result(timeout=60) == "y"
        await until(lambda: not database.letters)
        await until(lambda: database.instances["misfit"].status == "stuck")


class Absent(MemoryStore):
    """Cannot be reached, for a while."""

    left = 8

    async def instance(self, instance_id: str) -> InstanceRow | None:
        self._perhaps()
        return await super().instance(instance_id)

    async def letters(self, partitions: Sequence[int], limit: int, after: int) -> Sequence[Letter]:
        self._perhaps()
        return await super().letters(partitions, limit, after)

    async def carry_out(self, mails: Mapping[int, Mail | None], epochs: Mapping[int, int]) -> Collection[int]:
        self._perhaps()
        return await super().carry_out(mails, epochs)

    def _perhaps(self) -> None:
        if self.database.letters and self.left:
            self.left -= 1
            if self.left % 2:
                raise StoreUnavailable("not just now")


async def test_a_database_that_is_away_is_waited_for() -> None:
    app = App(f"memory://{uuid.uuid4().hex}", workflows=ALL, partitions=PARTITIONS)
    stores: list[Absent] = []

    def make(url: str, service: str) -> Absent:
        stores.append(Absent(url, service))
        return stores[-1]

    app._make_store = make
    async with app:
        database = stores[0].database
        await (await app.start(quick.options(id="known"), "x")).result(timeout=60)
        database.leave(to_start("known", "collect", None, '{"last":"y"}', PARTITIONS))
        database.leave(to_start("other", "quick", None, '{"what":"y"}', PARTITIONS))
        for _, watcher in database.watchers:
            watcher.lettered(None)
        await until(lambda: not database.letters)
        assert stores[0].left < 8
        assert await app.handle(quick, "other").result(timeout=60) == "y"


class Robbed(MemoryStore):
    """Somebody else has all partitions for a moment, while the first letters are being carried out."""

    app: App
    done = False

    async def carry_out(self, mails: Mapping[int, Mail | None], epochs: Mapping[int, int]) -> Collection[int]:
        if not self.done:
            self.done = True
            await robbed(self.app, self)
        return await super().carry_out(mails, epochs)


async def test_letters_whose_partition_was_away_are_not_overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perdure.worker.letters._PAGE", 3)
    app = App(f"memory://{uuid.uuid4().hex}", workflows=ALL, partitions=PARTITIONS, lease=0.3)
    stores: list[Robbed] = []

    def make(url: str, service: str) -> Robbed:
        stores.append(Robbed(url, service))
        stores[-1].app = app
        return stores[-1]

    app._make_store = make
    said = [*map(str, range(10)), "end"]
    async with app:
        collecting = await app.start(collect, "end")
        for what in said:
            text = f'{{"id":"{what}","at":0,"data":"{what}"}}'
            stores[0].database.leave(to_send(collecting.id, "in", text, what, PARTITIONS, once=False))
        for _, watcher in stores[0].database.watchers:
            watcher.lettered(None)
        assert await collecting.result(timeout=60) == said
    assert stores[0].done
