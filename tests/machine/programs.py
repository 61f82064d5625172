"""Random workflows, as trees that Hypothesis makes and shrinks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen
from hypothesis import strategies as st

from perdure import activity, fan_out, gather, now, patched, race, random, shield, sleep, timeout, uuid4
from perdure.operations.concurrency import TaskGroup


@activity(name="a")
async def step_a() -> int:
    raise AssertionError("the machine runs no activity")


@activity(name="b")
async def step_b() -> int:
    raise AssertionError("the machine runs no activity")


@frozen
class Node:
    kind: str
    children: tuple[Node, ...] = ()
    number: int = 0


Trace = list[Any]


async def _run(node: Node, trace: Trace) -> int:
    """Do what the node says; `trace` sees everything that replay must repeat."""
    await _KINDS[node.kind](node, trace)
    trace.append((node.kind, node.number))
    return node.number


async def _activity(node: Node, trace: Trace) -> None:
    trace.append(await (step_a if node.number % 2 else step_b)())


async def _sleep(node: Node, trace: Trace) -> None:
    await sleep(node.number)


async def _chance(node: Node, trace: Trace) -> None:
    trace.append((random(), str(uuid4()), now().isoformat()))


async def _patched(node: Node, trace: Trace) -> None:
    if patched(f"change-{node.number % 3}"):
        trace.append(await step_a())


async def _sequence(node: Node, trace: Trace) -> None:
    for child in node.children:
        await _run(child, trace)


async def _gather(node: Node, trace: Trace) -> None:
    trace.append(await gather(*[_run(child, trace) for child in node.children]))


async def _race(node: Node, trace: Trace) -> None:
    if node.children:
        winner = await race(**{f"b{n}": _run(child, trace) for n, child in enumerate(node.children)})
        trace.append((winner.label, winner.value))


async def _group(node: Node, trace: Trace) -> None:
    async with TaskGroup() as group:
        tasks = [group.start_soon(_run, child, trace) for child in node.children]
        if node.number % 4 == 0 and tasks:
            tasks[0].cancel()


async def _fan_out(node: Node, trace: Trace) -> None:
    trace.append(await fan_out(lambda child: _run(child, trace), node.children, width=1 + node.number % 3))


async def _timeout(node: Node, trace: Trace) -> None:
    try:
        async with timeout(node.number):
            await _sequence(node, trace)
    except TimeoutError:
        trace.append("late")


async def _shield(node: Node, trace: Trace) -> None:
    async with shield():
        await _sequence(node, trace)


async def _except(node: Node, trace: Trace) -> None:
    try:
        await _sequence(node, trace)
        if node.number % 2:
            raise ValueError(node.number)
    except Exception as error:
        trace.append(type(error).__name__)


async def _finally(node: Node, trace: Trace) -> None:
    try:
        await _sequence(node, trace)
    finally:
        trace.append("finally")
        if node.number % 2:
            async with shield():
                trace.append(await step_b())


async def _raise(node: Node, trace: Trace) -> None:
    raise LookupError(node.number)


_KINDS: dict[str, Callable[[Node, Trace], Awaitable[None]]] = {
    "activity": _activity,
    "sleep": _sleep,
    "chance": _chance,
    "patched": _patched,
    "sequence": _sequence,
    "gather": _gather,
    "race": _race,
    "group": _group,
    "fan_out": _fan_out,
    "timeout": _timeout,
    "shield": _shield,
    "except": _except,
    "finally": _finally,
    "raise": _raise,
}

_leaves = st.builds(
    Node,
    st.sampled_from(["activity", "sleep", "chance", "patched", "raise"]),
    st.just(()),
    st.integers(0, 9),
)


def _branches(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    kinds = ["sequence", "gather", "race", "group", "fan_out", "timeout", "shield", "except", "finally"]
    return st.builds(Node, st.sampled_from(kinds), st.lists(children, max_size=4).map(tuple), st.integers(0, 9))


programs = st.recursive(_leaves, _branches, max_leaves=12)


def make(node: Node) -> Callable[[], Awaitable[Trace]]:
    """A workflow's coroutine function for the tree; it returns its trace."""

    async def program() -> Trace:
        trace: Trace = []
        await _run(node, trace)
        return trace

    return program
