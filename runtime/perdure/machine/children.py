"""Workflows started from inside a workflow."""

from __future__ import annotations

from typing import Any

from perdure.machine.commands import Command
from perdure.machine.futures import Future


class SpawnChild(Command):
    """Start `workflow` (`name` is its name) under the id `child_id`, with packed arguments.

    It is never forgotten before it is answered: the child may exist by then, and must not be an orphan.
    """

    __slots__ = ("child_id", "detached", "input", "workflow")

    kind = "spawn"

    def __init__(self, name: str, workflow: Any, input: str, child_id: str | None, *, detached: bool) -> None:
        super().__init__(name)
        self.workflow = workflow
        self.input = input
        self.child_id = child_id or ""
        self.detached = detached


class CancelChild(Command):
    """Ask a child to end. `name` is its workflow's."""

    __slots__ = ("child_id", "reason")

    kind = "cancel child"

    def __init__(self, name: str, child_id: str, reason: str | None) -> None:
        super().__init__(name)
        self.child_id = child_id
        self.reason = reason


class Child:
    """A child that exists. `ending` is that of its `ChildEnded`; `waiting` those who wait for it."""

    __slots__ = ("command", "detached", "ending", "id", "name", "waiting")

    def __init__(self, command: int, id: str, name: str, *, detached: bool) -> None:
        self.command = command
        self.id = id
        self.name = name
        self.detached = detached
        self.ending: str | None = None
        self.waiting: list[Future] = []


class ChildWait(Future):
    """The wait for a child's end. `called`: the child is this task's alone, and ends with its wait."""

    __slots__ = ("called", "child")

    def __init__(self, child: Child, *, called: bool) -> None:
        super().__init__()
        self.child = child
        self.called = called
