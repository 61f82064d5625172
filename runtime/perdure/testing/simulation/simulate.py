"""Simulations of a user's workflow: `simulate`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ParamSpec, TypeVar, overload

import anyio

from perdure.definitions.workflow import Workflow
from perdure.errors import LeaseLost, StoreUnavailable, UsageError, WorkflowCancelled, WorkflowFailed
from perdure.testing.simulation import settings
from perdure.testing.simulation.checker import check
from perdure.testing.simulation.faults import Fault, schedule
from perdure.testing.simulation.shrinking import shrink
from perdure.testing.simulation.world import LEASE, WORKERS, World

P = ParamSpec("P")
R = TypeVar("R")


@overload
def simulate(workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
@overload
def simulate(workflow: Workflow[..., R], /, *args: Any, seeds: int | Iterable[int], **kwargs: Any) -> R: ...
def simulate(workflow: Any, /, *args: Any, seeds: Any = None, **kwargs: Any) -> Any:
    """Run a workflow in many hostile worlds, and see that it ends alike in all of them.

    Three workers share a memory database. They crash, stand still beyond their lease, restart; calls
    to the database fail before or after they have happened, or happen late; notifications are lost;
    the database's clock jumps; activities are slow and fail. All time is virtual, and `def`
    activities run without threads. The seed decides everything, so a failing one fails again.

    `seeds` is how many (100, or what pytest's `--perdure-seeds` says), or which. It needs trio, and
    no running event loop. Results that contain the time are not equal in all worlds: return it from an
    activity, and fake that.

    Gives the result, or raises WorkflowFailed or WorkflowCancelled, like `run`. Raises
    AssertionError with the first failing seed, the faults that it takes, and the line that repeats it.
    """
    if not isinstance(workflow, Workflow):
        raise UsageError(f"simulate takes a @workflow function, not {workflow!r}")
    numbers = settings.default_seeds if seeds is None else seeds
    known = workflow if workflow.id is not None else workflow.options(id="simulated")
    expected, outcome = _play(known, args, kwargs, 0, ())
    for seed in range(numbers) if isinstance(numbers, int) else numbers:
        faults = schedule(seed, WORKERS, LEASE)

        def fails(some: Sequence[Fault], seed: int = seed) -> str | None:
            try:
                end, _ = _play(known, args, kwargs, seed, some)
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            if end == expected:
                return None
            hint = "" if some else "; the time differs from world to world: return it from an activity, and fake that"
            return f"it ends with {end}, but undisturbed with {expected}{hint}"

        trouble = fails(faults)
        if trouble is not None:
            faults, trouble = shrink(faults, fails, trouble)
            raise AssertionError(report(workflow.name, seed, faults, trouble))
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _play(
    workflow: Workflow[..., Any], args: Sequence[Any], kwargs: dict[str, Any], seed: int, faults: Sequence[Fault]
) -> tuple[tuple[str, Any], Any]:
    """How the workflow ends in one world, to be compared; and its result, or the error that it raises."""
    world = World(seed, faults, [workflow], same_start=True, free_interruptions=10**6)
    ends: list[tuple[tuple[str, Any], Any]] = []

    async def scenario(world: World) -> None:
        await start(world, workflow, args, kwargs)
        ends.append(await end(world, workflow))

    world.run(scenario)
    check(world)
    return ends[0]


async def start(world: World, workflow: Workflow[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Start, and try again, at any worker, until it is accepted."""
    assert workflow.id is not None  # made so
    while True:
        apps = world.apps()
        if apps:
            with anyio.move_on_after(5 * LEASE):
                try:
                    await world.chance.choice(apps).start(workflow, *args, **kwargs)
                    world.accepted.add(workflow.id)
                    return
                except (StoreUnavailable, LeaseLost, UsageError):
                    pass
        await anyio.sleep(0.05)


async def end(world: World, workflow: Workflow[..., Any]) -> tuple[tuple[str, Any], Any]:
    """Wait for the end, at any worker that answers. As `_play`."""
    assert workflow.id is not None  # made so
    while True:
        apps = world.apps()
        if apps:
            with anyio.move_on_after(LEASE):
                try:
                    handle = world.chance.choice(apps).handle(workflow, workflow.id)
                    value = await handle.result()
                    return ("result", value), value
                except (WorkflowFailed, WorkflowCancelled) as error:
                    return ("failure", repr(error.__cause__ or error)), error
                except (StoreUnavailable, UsageError):
                    pass
        await anyio.sleep(0.05)


def report(workflow: str, seed: int, faults: Sequence[Fault], trouble: str) -> str:
    """What a failing seed comes to."""
    lines = [f"workflow {workflow!r} fails with seed {seed}: {trouble}", "it takes these faults:"]
    lines += [f"  {fault}" for fault in faults] or ["  none"]
    lines.append(f"to repeat it: simulate({workflow}, ..., seeds=[{seed}])")
    return "\n".join(lines)
