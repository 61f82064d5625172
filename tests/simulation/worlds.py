"""One seed: random programs in a hostile world, and what must come of them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import anyio
import orjson

from perdure import NotCancellable, StoreUnavailable, UsageError
from perdure.testing.simulation.checker import Violation, check
from perdure.testing.simulation.faults import Fault, schedule
from perdure.testing.simulation.shrinking import shrink
from perdure.testing.simulation.simulate import end, start
from perdure.testing.simulation.world import LEASE, WORKERS, World
from simulation import programs
from simulation.programs import program


def play(seed: int, faults: Sequence[Fault]) -> World:
    """Raises Violation, or what else went wrong."""
    programs.book.clear()
    chance = Random(f"programs:{seed}")
    world = World(seed, faults, [program])
    plans = {f"i{number}": programs.make(chance) for number in range(chance.randint(1, 3))}
    world.instances = len(plans)
    cancelled = {id: chance.random() * 5 for id in plans if chance.random() < 0.2}
    ends: dict[str, tuple[str, Any]] = {}
    accepted: dict[str, bool | None] = {}

    async def live(id: str, plan: list[programs.Plan]) -> None:
        instance = program.options(id=id)
        await anyio.sleep(chance.random() * 3)
        await start(world, instance, [orjson.dumps(plan).decode()], {})
        if id in cancelled:
            await anyio.sleep(cancelled[id])
            accepted[id] = await _cancel(world, id)
        ends[id] = await end(world, instance)

    async def scenario(world: World) -> None:
        async with anyio.create_task_group() as group:
            for id, plan in plans.items():
                group.start_soon(live, id, plan)

    world.run(scenario)
    check(world)
    expected: list[tuple[str, int]] = []
    whole = True
    for id, plan in plans.items():
        predicted, added = programs.predict(plan)
        was_cancelled = ends[id][0] == "failure" and "WorkflowCancelled" in ends[id][1]
        if was_cancelled and id in cancelled and accepted[id] is not False:
            whole = False
            continue
        if accepted.get(id) is True and not _nothing_to_await(world, id, plan):
            raise Violation(f"a cancel of {id} was accepted, and it ended with {ends[id]}")
        if ends[id] != predicted:
            raise Violation(f"{id} ended with {ends[id]}, not with {predicted}")
        expected += added
    if whole and sorted(programs.book.values()) != sorted(expected):
        raise Violation(f"added were {sorted(programs.book.values())}, not {sorted(expected)}")
    return world


def _nothing_to_await(world: World, id: str, plan: list[programs.Plan]) -> bool:
    """Whether a cancellation may have found nothing to interrupt: the rest was shielded, or there was none."""
    kinds = {row[1] for row in world.database.events[id, 1]}
    return '"shield"' in orjson.dumps(plan).decode() or kinds <= {
        "WorkflowStarted",
        "PatchRecorded",
        "WorkflowCompleted",
    }


async def _cancel(world: World, id: str) -> bool | None:
    """Whether it was accepted; None: nobody knows."""
    asked = False
    while True:
        apps = world.apps()
        if apps:
            try:
                await world.chance.choice(apps).handle(program, id).cancel(reason="simulated")
                return True
            except NotCancellable:
                return None if asked else False
            except StoreUnavailable:
                asked = True
            except UsageError:
                pass
        await anyio.sleep(0.05)


def trouble(seed: int, faults: Sequence[Fault]) -> str | None:
    try:
        play(seed, faults)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def check_seed(seed: int) -> None:
    """Raises AssertionError with the smallest set of faults that still fails."""
    faults: Sequence[Fault] = schedule(seed, WORKERS, LEASE)
    what = trouble(seed, faults)
    if what is not None:
        faults, what = shrink(faults, lambda some: trouble(seed, some), what)
        lines = [f"seed {seed}: {what}", *(f"  {fault}" for fault in faults)]
        raise AssertionError("\n".join([*lines, f"to repeat it: just simulate-seed {seed}"]))
