"""Parents and children: each child is started once, ends once for its parent, and does not outlive it unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from perdure.machine.events import ENDINGS, ChildEnded, ChildStarted, CompensationStarted, WorkflowContinued
from perdure.testing.simulation.ledger import Ledger, Story, Told, Violation

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World

Place = tuple[str, int, int]


def check_families(world: World, ledger: Ledger, detached: set[Place]) -> None:
    """`detached` are children by the commands that started them. Raises Violation."""
    children: dict[Place, str] = {}
    for id, started in world.log.parents.items():
        if len(started) > 1:
            raise Violation(f"{id} was created {len(started)} times")
        if started[0] is not None:
            place = _place(orjson.loads(started[0]))
            if place in children:
                raise Violation(f"command {place} has two children, {children[place]} and {id}")
            children[place] = id
    known: dict[Place, str] = {}
    ended: set[Place] = set()
    for story in ledger.stories.values():
        for told in story:
            _check_event(ledger, told, children, known, ended)
    for place, id in children.items():
        if known.get(place) != id:
            raise Violation(f"{id} was started by {place}, and that stream does not say so")
        if place not in detached:
            _check_end(ledger.stories[place[0]], place[1], ledger.stories[id])


def _check_event(
    ledger: Ledger, told: Told, children: dict[Place, str], known: dict[Place, str], ended: set[Place]
) -> None:
    event = told.event
    if not isinstance(event, ChildStarted | ChildEnded):
        return
    place = told.at.instance, told.at.run, event.command
    if isinstance(event, ChildStarted):
        if children.get(place) != event.id:
            raise Violation(f"{place} says that it started {event.id}, and its child is {children.get(place)}")
        if ledger.stories[event.id].born > told.at.moment:
            raise Violation(f"{place} says that {event.id} exists before it does")
        known[place] = event.id
        return
    if place in ended:
        raise Violation(f"the child of {place} has ended twice")
    ended.add(place)
    last = ledger.stories[children[place]].end
    if last is None or last.at.moment > told.at.moment:
        raise Violation(f"{place} says that {children[place]} has ended, before it has")
    ending = orjson.loads(event.ending)
    if ending != {"kind": type(last.event).__name__, "data": orjson.loads(last.event.data())}:
        raise Violation(f"{children[place]} ended with {last.event}, and its parent heard of {ending}")


def _check_end(parent: Story, run: int, child: Story) -> None:
    """A child that had not ended when its parent's run did was asked to, unless it was undoing what it had done."""
    last = parent.runs[run][-1]
    if not isinstance(last.event, (*ENDINGS, WorkflowContinued)):
        return
    undoing = any(
        isinstance(told.event, CompensationStarted) and told.at.moment < last.at.moment
        for told in child.runs[child.row.run]
    )
    if child.ended > last.at.moment and child.row.cancel_requested is None and not undoing:
        end = child.end
        if end is None or end.at.unit != last.at.unit:
            raise Violation(f"{child.row.id} outlived run {run} of its parent {parent.row.id}, and was not cancelled")


def _place(parent: dict[str, Any]) -> Place:
    return parent["id"], parent["run"], parent["command"]
