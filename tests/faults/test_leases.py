"""Workers sharing one file: long activities, rebalancing, zombies."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path

from faults import effects
from faults.database import Database, check_streams
from faults.errands import busy, errand, holds, nap, ticks, tolls
from faults.processes import crew, side_by_side, until
from perdure import App, StoreUnavailable
from perdure.ports import Holding


@side_by_side
async def test_an_activity_longer_than_its_lease_runs_once(tmp_path: Path, anyio_backend_name: str) -> None:
    """While another worker would take over any partition that is let go, and one more joins midway."""
    with crew(tmp_path, anyio_backend_name) as workers:
        first = workers.worker("errands", lease=12, start=tuple(f"holds:h{n}:[]" for n in range(20)))
        await first.says("started")
        database = Database(workers.database)
        await until(lambda: effects.count(workers.effects, "start", "hold") >= 20, lambda: f"all hold: {first.said}")
        (held_until,) = database.query("select expires_at from perdure_workers")[0]
        second = workers.worker("errands", lease=12)
        await second.says("ready")
        sql = "select expires_at from perdure_workers where id = ?"
        await until(lambda: database.query(sql, first.worker_id)[0][0] > held_until + 12_000_000, "more than a lease")
        workers.let_go()
        async with App(workers.url, workflows=[holds], worker=False) as app:
            for n in range(20):
                assert await app.handle(holds, f"h{n}").result(timeout=60) == 3
        assert effects.count(workers.effects, "start", "hold") == 20
        assert effects.count(workers.effects, "start", "tick") == 40
        check_streams(database.events())
        await until(lambda: set(database.owners().values()) == {32}, "equal shares")


@side_by_side
async def test_rebalancing_repeats_nothing(tmp_path: Path, anyio_backend_name: str) -> None:
    """Workers come and go, in an orderly way, while activities run: each activity runs once."""
    with crew(tmp_path, anyio_backend_name) as workers:
        some = ("--partitions", "24")
        first = workers.worker("errands", start=tuple(f"tolls:t{n}:[0.1]" for n in range(24)), extra=some)
        await first.says("started")
        database = Database(workers.database)
        others = [workers.worker("errands", extra=some) for _ in range(2)]
        await until(lambda: sorted(database.owners().values()) == [8, 8, 8], "three shares")
        first.signal(signal.SIGTERM)
        assert await first.ended() == 0, first.said
        pids = {first.pid, *(other.pid for other in others)}
        await until(lambda: {effect.pid for effect in effects.read(workers.effects)} == pids, "everybody's turn")
        workers.let_go()
        async with App(workers.url, workflows=[tolls], worker=False) as app:
            count = sum([await app.handle(tolls, f"t{n}").result(timeout=60) for n in range(24)])
        check_streams(database.events())
        keys = [effect.key for effect in effects.read(workers.effects) if effect.phase == "start"]
        assert len(keys) == len(set(keys)) == count


@side_by_side
async def test_what_is_held_back_for_a_newcomer_goes_on_without_it(tmp_path: Path, anyio_backend_name: str) -> None:
    """A partition that was to be handed over, once its long activity is done, stays when the
    newcomer dies; what was held back meanwhile must not wait for that activity, or for ever.
    """
    with crew(tmp_path, anyio_backend_name) as workers:
        eight = ("--partitions", "8")
        first = workers.worker("errands", start=tuple(f"busy:b{n}:[0.05]" for n in range(8)), extra=eight)
        await first.says("started")
        database = Database(workers.database)

        def tolls_of(instances: Sequence[str]) -> list[int]:
            ended = [e.instance_id for e in effects.read(workers.effects) if (e.phase, e.step) == ("end", "toll")]
            return [ended.count(id) for id in instances]

        ids = [f"b{n}" for n in range(8)]
        await until(lambda: effects.count(workers.effects, "start", "hold") == 8 and min(tolls_of(ids)) > 0)
        second = workers.worker("errands", extra=eight)
        await second.says("ready")
        await until(lambda: max(tolls_of(ids)) > min(tolls_of(ids)) + 20, "some are held back, others are not")
        await second.kill()
        workers.bury(second)
        before = tolls_of(ids)
        await until(
            lambda: all(now > then + 2 for then, now in zip(before, tolls_of(ids), strict=True)), "all of them go on"
        )
        assert effects.count(workers.effects, "end", "hold") == 0
        workers.let_go()
        async with App(workers.url, workflows=[busy], worker=False) as app:
            for id in ids:
                assert await app.handle(busy, id).result(timeout=60) > 2
        check_streams(database.events())


@side_by_side
async def test_a_stopped_worker_comes_back_as_a_zombie(tmp_path: Path, anyio_backend_name: str) -> None:
    """SIGSTOP until the lease is dead, then SIGCONT: what the zombie still has in hand is refused."""
    with crew(tmp_path, anyio_backend_name) as workers:
        zombie = workers.worker("errands", start=tuple(f"holds:z{n}:[]" for n in range(8)))
        await zombie.says("started")
        database = Database(workers.database)
        await until(lambda: effects.count(workers.effects, "start", "hold") == 8, "all hold")
        zombie.signal(signal.SIGSTOP)
        frozen = len(database.events())
        workers.bury(zombie)
        other = workers.worker("errands")
        async with App(workers.url, workflows=[holds, nap], worker=False) as app:
            await until(lambda: database.owners() == {other.worker_id: 64}, f"the take-over: {other.said}")
            workers.let_go()
            zombie.signal(signal.SIGCONT)
            for n in range(8):
                assert await app.handle(holds, f"z{n}").result(timeout=60) == 3
            both = {other.worker_id: 32, zombie.worker_id: 32}
            await until(lambda: database.owners() == both, "the zombie is one of us again")
            handles = [await app.start(nap.options(id=f"later{n}"), 0.01) for n in range(16)]
            for handle in handles:
                assert await handle.result(timeout=60) == "awake"
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
            assert await app.handle(ticks, "t").result(timeout=60) == 20
            assert await app.handle(errand, "e").result(timeout=60) == 0.3
        check_streams(database.events())


async def test_a_hand_over_that_fails_is_made_good(tmp_path: Path) -> None:
    """The database is out of reach just when partitions are released: they must not stay with an
    owner that has let go of them.
    """
    url = f"sqlite:///{tmp_path}/perdure.db"
    database = Database(tmp_path / "perdure.db")
    async with App(url, workflows=[nap], lease=60) as first:
        store = first._resources().store
        release = store.release
        failed: list[int] = []

        async def failing(worker: str, holdings: Sequence[Holding]) -> None:
            if not failed:
                failed.append(len(holdings))
                raise StoreUnavailable("out of reach, just now")
            await release(worker, holdings)

        setattr(store, "release", failing)  # noqa: B010 - a method, for once
        async with App(url, workflows=[nap], lease=60):
            await until(lambda: failed)
            await until(lambda: sorted(database.owners().values()) == [32, 32], "equal shares")
        async with first.client() as client:
            handles = [await client.start(nap.options(id=f"n{n}"), 0.01) for n in range(40)]
            for handle in handles:
                assert await handle.result(timeout=60) == "awake"
