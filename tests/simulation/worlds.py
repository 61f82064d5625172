"""One seed: random programs in a hostile world, and what must come of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import anyio
import orjson
from attrs import evolve

from perdure.testing.simulation.calm import rest
from perdure.testing.simulation.checker import Violation, check
from perdure.testing.simulation.faults import Fault, schedule
from perdure.testing.simulation.shrinking import shrink
from perdure.testing.simulation.simulate import end, start
from perdure.testing.simulation.world import LEASE, WORKERS, World
from perdure.worker import horizon, inbox, lookout, relay
from simulation import errands, programs
from simulation.programs import begun, chain, program, server
from simulation.programs.kinds import packed
from simulation.scenes import Errand, Scene, Start, stage
from simulation.tables import check_table

#: Longer than any clock jumps.
_BUFFER = 10 * 365 * 24 * 3600.0

Part: TypeAlias = Fault | Start | Errand


@contextmanager
def pages(seed: int) -> Iterator[None]:
    """In every fifth world what is read page by page comes in pages of two."""
    before = [(module, module._PAGE) for module in (horizon, inbox, lookout, relay)]
    if seed % 5 == 0:
        for module, _ in before:
            vars(module)["_PAGE"] = 2
    try:
        yield
    finally:
        for module, size in before:
            vars(module)["_PAGE"] = size


def play(seed: int, faults: Sequence[Fault], scene: Scene | None = None) -> World:
    """Raises Violation, or what else went wrong."""
    programs.book.clear()
    programs.effects.written.clear()
    programs.effects.begun.clear()
    programs.sagas.Tools.mended = False
    scene = stage(seed) if scene is None else scene
    world = World(seed, faults, [program, server, chain, begun], event_buffer=_BUFFER, publishing=True)
    world.instances = len(scene.starts) + len(scene.servers)
    world.errands = len(scene.errands) + len(scene.needed)
    ends: dict[str, tuple[str, Any]] = {}
    accepted: dict[str, bool | None] = {}

    async def live(one: Start) -> None:
        instance = program.options(id=one.id)
        await anyio.sleep(one.at)
        await start(world, instance, [packed(one.plan)], {})
        if one.cancel is not None:
            await anyio.sleep(one.cancel)
            accepted[one.id] = await errands.cancel(world, one.id)
        ends[one.id], _ = await end(world, instance)

    async def scenario(world: World) -> None:
        for id, told in scene.servers.items():
            await start(world, server.options(id=id), [told], {})
        async with anyio.create_task_group() as group:
            for one in scene.starts:
                group.start_soon(live, one)
            for errand in (*scene.needed, *scene.errands):
                group.start_soon(errands.run, world, errand)
        await rest(world, scene.servers)
        if scene.repair:
            programs.sagas.Tools.mended = True
            while await errands.retry(world):
                await rest(world, scene.servers)
        for id in scene.servers:
            await errands.cancel(world, id)
            await end(world, server.options(id=id))
        await rest(world, ())

    try:
        with pages(seed):
            world.run(scenario)
    except TimeoutError:
        raise Violation(f"it does not end: {_unfinished(world)}") from None
    except ExceptionGroup as group:
        raise _first(group) from None
    check(world)
    check_table(world)
    _compare(world, scene, ends, accepted)
    return world


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _unfinished(world: World) -> str:
    rows = [row for row in world.database.instances.values() if row.ended_at is None and not row.id.startswith("s")]
    last = {row.id: world.database.events[row.id, row.run][-1][1:4] for row in rows}
    return ", ".join(f"{id} after {events}" for id, events in last.items()) or "an errand"


def _compare(world: World, scene: Scene, ends: dict[str, tuple[str, Any]], accepted: dict[str, bool | None]) -> None:
    """The programs ended as foreseen."""
    expected: list[tuple[str, int]] = []
    perhaps: list[tuple[str, int]] = []
    for one in scene.starts:
        seen = programs.foresee(one.plan)
        was_cancelled = ends[one.id][0] == "failure" and "WorkflowCancelled" in ends[one.id][1]
        if was_cancelled and accepted.get(one.id) is not False and one.cancel is not None:
            perhaps += seen.added + seen.perhaps
            continue
        if accepted.get(one.id) is True and not _nothing_to_await(world, one):
            raise Violation(f"a cancel of {one.id} was accepted, and it ended with {ends[one.id]}")
        if ends[one.id] != seen.end:
            raise Violation(f"{one.id} ended with {ends[one.id]}, not with {seen.end}")
        expected += seen.added
        perhaps += seen.perhaps
    left = list(programs.book.values())
    for added in expected:
        if added not in left:
            raise Violation(f"{added} was not added: {sorted(programs.book.values())} lacks some of {sorted(expected)}")
        left.remove(added)
    for added in left:
        if added not in perhaps:
            raise Violation(f"{added} was added by nobody, or twice: expected were {sorted(expected)}")
        perhaps.remove(added)


def _nothing_to_await(world: World, one: Start) -> bool:
    """Whether a cancellation may have found nothing to interrupt: the rest was shielded, or there was none, or what
    ended the code was recorded before its end was.
    """
    stream = list(world.log.stream(one.id, world.database.instances[one.id].run))
    undoing = next((n for n, told in enumerate(stream) if told.row[1] == "CompensationStarted"), None)
    if undoing is not None:
        stream = stream[: undoing + 1]
    last = [told.row[1] for told in stream if told.unit == stream[-1].unit]
    if '"shielded"' in orjson.dumps(one.plan).decode() or len(last) == 1 or last[0] in ("ChildStarted", "ChildRefused"):
        return True
    idle = {"WorkflowStarted", "PatchRecorded", "WorkflowCompleted", "CompensationStarted"}
    return {told.row[1] for told in stream} <= idle


def trouble(seed: int, faults: Sequence[Fault], scene: Scene | None = None) -> str | None:
    try:
        play(seed, faults, scene)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def check_seed(seed: int) -> None:
    """Raises AssertionError with the smallest set of faults, programs and errands that still fails in this way."""
    faults: Sequence[Fault] = schedule(seed, WORKERS, LEASE)
    what = trouble(seed, faults)
    if what is not None:
        faults, scene, what = smallest(seed, faults, what)
        lines = [f"seed {seed}: {what}", *(f"  {fault}" for fault in faults)]
        lines += [f"  server {id}: {told}" for id, told in scene.servers.items()]
        lines += [f"  {part}" for part in (*scene.starts, *scene.needed, *scene.errands)]
        raise AssertionError("\n".join([*lines, f"to repeat it: just simulate-seed {seed}"]))


def smallest(seed: int, faults: Sequence[Fault], what: str) -> tuple[Sequence[Fault], Scene, str]:
    """What fails in the same way with fewer faults, then with less of a scene."""
    scene = stage(seed)
    same = _alike(what)
    faults, what = shrink(faults, lambda some: same(trouble(seed, some)), what)
    parts: Sequence[Start | Errand] = (*scene.starts, *scene.errands)
    parts, what = shrink(parts, lambda some: same(trouble(seed, faults, _only(scene, some))), what)
    return faults, _only(scene, parts), what


def _only(scene: Scene, parts: Sequence[Start | Errand]) -> Scene:
    return evolve(
        scene,
        starts=[part for part in parts if isinstance(part, Start)],
        errands=[part for part in parts if isinstance(part, Errand)],
    )


def _alike(what: str) -> Callable[[str | None], str | None]:
    """Whether a trouble is the same, but for ids and numbers."""
    shape = _shape(what)
    return lambda other: other if other is not None and _shape(other) == shape else None


def _shape(what: str) -> str:
    return " ".join(re.sub(r"\S*\d\S*|'[^']*'", "", what).split()[:6])
