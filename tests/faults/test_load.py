"""kill -9 at random moments, with many instances under way, several times over."""

from __future__ import annotations

import os
import random
from pathlib import Path

import anyio

from faults import effects
from faults.database import Database, answered, check_streams
from faults.journey import expected, journey
from faults.processes import crew, side_by_side, until
from perdure import App

#: The same kills again: PERDURE_SEED=... pytest tests/faults/test_load.py
_SEED = int(os.environ.get("PERDURE_SEED", "20261121"))
_ROUNDS = 3
_STARTS = 40


@side_by_side
async def test_kills_at_random_moments(tmp_path: Path, anyio_backend_name: str) -> None:
    chance = random.Random(f"{_SEED} {anyio_backend_name}")
    print(f"PERDURE_SEED={_SEED}")
    accepted: dict[str, int] = {}
    recorded: list[tuple[set[tuple[str, int]], int]] = []
    with crew(tmp_path, anyio_backend_name) as workers:
        database = Database(workers.database)
        constant = workers.worker("journey")
        await constant.says("ready")
        for number in range(_ROUNDS):
            ids = [f"r{number}n{n}" for n in range(_STARTS)]
            victim = workers.worker("journey", start=tuple(f"journey:{id}:[{number}]" for id in ids))
            await victim.says("ready" if number else "started")  # where all are accepted, or any of them
            await anyio.sleep(chance.random() * 0.3)  # the moment is meant to be any
            await victim.kill()
            workers.bury(victim)
            accepted |= dict.fromkeys(victim.accepted(), number)
            recorded.append((answered(database.events()), len(effects.read(workers.effects))))
        await constant.kill()
        workers.bury(constant)
        recorded.append((answered(database.events()), len(effects.read(workers.effects))))
        survivor = workers.worker("journey")
        async with App(workers.url, workflows=[journey], worker=False) as app:
            for id, number in accepted.items():
                assert await app.handle(journey, id).result(timeout=60) == expected(number), survivor.said
        await until(lambda: set(database.statuses().values()) == {"completed"}, "those not known to be accepted")
        stream = database.events()
        check_streams(stream)
        log = effects.read(workers.effects)
        for done, length in recorded:
            again = [e for e in log[length:] if e.phase == "start" and {(e.key, 0), (e.key, e.attempt)} & done]
            assert not again
        assert len({(e.instance_id, e.step, e.key) for e in log}) == 6 * len(database.statuses())
        assert len(accepted) >= _STARTS


@side_by_side
async def test_a_restart_that_starts_the_same_ids_again(tmp_path: Path, anyio_backend_name: str) -> None:
    """What every program does that starts its work by id when it comes up: nothing is forgotten."""
    with crew(tmp_path, anyio_backend_name) as workers:
        starts = tuple(f"errand:e{n}:[0.2]" for n in range(100)) + tuple(f"nap:n{n}:[0.8]" for n in range(100))
        victim = workers.worker("errands", lease=0.5, start=starts)
        await victim.says("started")
        await victim.kill()
        again = workers.worker("errands", lease=0.5, start=starts)
        await again.says("started")
        database = Database(workers.database)
        await until(
            lambda: set(database.statuses().values()) == {"completed"},
            f"all: {again.said}",
        )
        check_streams(database.events())
