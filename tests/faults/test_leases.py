"""Workers sharing one file: long activities, rebalancing, zombies."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path

from faults import effects
from faults.database import Database, check_streams
from faults.errands import beside, errand, nap, ticks
from faults.processes import crew, side_by_side, until
from perdure import App, StoreUnavailable
from perdure.ports import Holding


@side_by_side
async def test_an_activity_longer_than_its_lease_runs_once(tmp_path: Path, anyio_backend_name: str) -> None:
    """While another worker would take over any partition that is let go, and one more joins midway."""
    with crew(tmp_path, anyio_backend_name) as workers:
        first = workers.worker("errands", lease=2, start=tuple(f"errand:e{n}:[4]" for n in range(20)))
        await first.says("started")
        database = Database(workers.database)
        await until(lambda: effects.count(workers.effects, "start", "wait") == 20)
        second = workers.worker("errands", lease=2)
        await second.says("ready")
        async with App(workers.url, workflows=[errand], worker=False) as app:
            for n in range(20):
                assert await app.handle(errand, f"e{n}").result(timeout=15) == 4
        assert effects.count(workers.effects, "start", "wait") == 20
        assert effects.count(workers.effects, "start", "tick") == 40
        check_streams(database.events())
        assert set(database.owners().values()) == {32}


@side_by_side
async def test_rebalancing_repeats_nothing(tmp_path: Path, anyio_backend_name: str) -> None:
    """Workers come and go, in an orderly way, while activities run: each activity runs once."""
    with crew(tmp_path, anyio_backend_name) as workers:
        # The lease outlasts any pause of a busy machine: whoever loses it repeats what is under way.
        first = workers.worker("errands", lease=6, start=tuple(f"ticks:t{n}:[40, 0.15]" for n in range(64)))
        await first.says("started")
        database = Database(workers.database)
        for _ in range(2):
            workers.worker("errands", lease=6)
        await until(lambda: sorted(database.owners().values()) == [21, 21, 22], "three shares")
        first.signal(signal.SIGTERM)
        assert await first.ended() == 0, first.said
        async with App(workers.url, workflows=[ticks], worker=False) as app:
            for n in range(64):
                assert await app.handle(ticks, f"t{n}").result(timeout=30) == 40
        check_streams(database.events())
        keys = [effect.key for effect in effects.read(workers.effects) if effect.phase == "start"]
        assert len(keys) == len(set(keys)) == 64 * 40
        assert len({effect.pid for effect in effects.read(workers.effects)}) > 1


@side_by_side
async def test_what_is_held_back_for_a_newcomer_goes_on_without_it(tmp_path: Path, anyio_backend_name: str) -> None:
    """A partition that was to be handed over, once its long activity is done, stays when the
    newcomer dies; what was held back meanwhile must not wait for that activity, or for ever.
    """
    with crew(tmp_path, anyio_backend_name) as workers:
        starts = tuple(f"beside:b{n}:[6, 60, 0.04]" for n in range(64))
        first = workers.worker("errands", lease=1.5, start=starts)
        await first.says("started")
        database = Database(workers.database)
        await until(lambda: effects.count(workers.effects, "start", "wait") >= 64, patience=60)
        second = workers.worker("errands", lease=1.5)
        await second.says("ready")
        await until(lambda: len(database.query("select id from perdure_workers")) == 2)
        ticked = effects.count(workers.effects, "end", "tick")
        await until(lambda: effects.count(workers.effects, "end", "tick") > ticked + 100, patience=60)
        await second.kill()
        await until(lambda: len(database.query("select id from perdure_workers")) == 1, patience=60)
        await until(lambda: len(effects.ended(workers.effects, "tick")) == 64 * 60, "all ticks", patience=60)
        async with App(workers.url, workflows=[beside], worker=False) as app:
            for n in range(64):
                assert await app.handle(beside, f"b{n}").result(timeout=60) == 60


@side_by_side
async def test_a_stopped_worker_comes_back_as_a_zombie(tmp_path: Path, anyio_backend_name: str) -> None:
    """SIGSTOP for longer than the lease, then SIGCONT: what the zombie still has in hand is refused."""
    with crew(tmp_path, anyio_backend_name) as workers:
        starts = tuple(f"errand:z{n}:[0.4]" for n in range(8))
        zombie = workers.worker("errands", lease=1.5, start=starts, extra=("--worker-id", "zombie"))
        await zombie.says("started")
        database = Database(workers.database)
        await until(lambda: effects.count(workers.effects, "start", "wait") == 8)
        zombie.signal(signal.SIGSTOP)
        frozen = len(database.events())
        other = workers.worker("errands", lease=1.5, extra=("--worker-id", "other"))
        async with App(workers.url, workflows=[errand, nap], worker=False) as app:
            await until(lambda: database.owners() == {"other": 64}, f"the take-over: {other.said}")
            zombie.signal(signal.SIGCONT)
            for n in range(8):
                assert await app.handle(errand, f"z{n}").result(timeout=10) == 0.4
            await until(lambda: database.owners() == {"other": 32, "zombie": 32}, "the zombie is one of us again")
            handles = [await app.start(nap.options(id=f"later{n}"), 0.01) for n in range(16)]
            for handle in handles:
                assert await handle.result(timeout=10) == "awake"
        assert len(database.events()) > frozen
        check_streams(database.events())
        ticked = [e.key for e in effects.read(workers.effects) if (e.phase, e.step) == ("start", "tick")]
        assert len(set(ticked)) == len(ticked) == 16, "no recorded step was repeated"
        assert zombie.returncode is None and other.returncode is None


@side_by_side
async def test_a_worker_alone_survives_a_pause_longer_than_its_lease(tmp_path: Path, anyio_backend_name: str) -> None:
    """A suspended laptop: nobody took over, and the worker goes on by itself."""
    with crew(tmp_path, anyio_backend_name) as workers:
        alone = workers.worker("errands", lease=0.3, start=("ticks:t:[20, 0.05]", "errand:e:[0.3]"))
        await alone.says("started")
        await until(lambda: effects.count(workers.effects, "end", "tick") > 3)
        alone.signal(signal.SIGSTOP)
        database = Database(workers.database)
        (expires,) = database.query("select expires_at / 1e6 from perdure_workers")[0]
        await until(lambda: time.time() > expires + 0.5, "the pause")
        alone.signal(signal.SIGCONT)
        async with App(workers.url, workflows=[errand, ticks], worker=False) as app:
            assert await app.handle(ticks, "t").result(timeout=10) == 20
            assert await app.handle(errand, "e").result(timeout=10) == 0.3
        check_streams(database.events())


async def test_a_hand_over_that_fails_is_made_good(tmp_path: Path) -> None:
    """The database is out of reach just when partitions are released: they must not stay with an
    owner that has let go of them.
    """
    url = f"sqlite:///{tmp_path}/perdure.db"
    database = Database(tmp_path / "perdure.db")
    async with App(url, workflows=[nap], lease=0.5) as first:
        store = first._resources().store
        release = store.release
        failed: list[int] = []

        async def failing(worker: str, holdings: Sequence[Holding]) -> None:
            if not failed:
                failed.append(len(holdings))
                raise StoreUnavailable("out of reach, just now")
            await release(worker, holdings)

        setattr(store, "release", failing)  # noqa: B010 - a method, for once
        async with App(url, workflows=[nap], lease=0.5):
            await until(lambda: failed)
            await until(lambda: sorted(database.owners().values()) == [32, 32], "equal shares", patience=5)
        async with first.client() as client:
            handles = [await client.start(nap.options(id=f"n{n}"), 0.01) for n in range(40)]
            for handle in handles:
                assert await handle.result(timeout=5) == "awake"
