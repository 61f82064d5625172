"""What a workflow asks of the outside world.

A command is also the future of its own answer: the task that issued it waits on it. Commands are
numbered by the machine in the order in which the code issues them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from perdure.machine.futures import Future

if TYPE_CHECKING:
    from perdure.machine.scopes import Scope


class Decoder(Protocol):
    def decode(self, text: str, /) -> Any: ...


class Command(Future):
    """`abandoned`: nobody waits for the answer any more."""

    __slots__ = ("abandoned", "id", "name")

    kind: ClassVar[str]

    def __init__(self, name: str) -> None:
        super().__init__()
        self.id = 0
        self.name = name
        self.abandoned = False


class RunActivity(Command):
    """Run `activity` with these arguments (already checked and copied).

    `attempt` is the number of the next attempt, from 1; `due` the earliest time it may start and
    `issued_at` when the workflow asked, in microseconds; `interruptions` counts attempts that died
    with their worker. `undo`: its packed arguments, if it is to be undone should the workflow fail;
    `lost`: whether it has been run nobody knows; `compensating`: it undoes something itself. `repeats`: the command
    that did the same before, and failed; 0 where there is none.
    """

    __slots__ = (
        "activity",
        "args",
        "attempt",
        "compensating",
        "decoder",
        "due",
        "interruptions",
        "issued_at",
        "kwargs",
        "lost",
        "repeats",
        "undo",
    )

    kind = "activity"

    def __init__(
        self, name: str, activity: Any, args: tuple[Any, ...], kwargs: dict[str, Any], decoder: Decoder
    ) -> None:
        # Spelled out rather than inherited: it is done for every step.
        self.done = False
        self.error = self.value = self.waiter = None
        self.id = 0
        self.name = name
        self.abandoned = False
        self.activity = activity
        self.args = args
        self.kwargs = kwargs
        self.decoder = decoder
        self.attempt = 1
        self.interruptions = 0
        self.due = 0
        self.issued_at = 0
        self.repeats = 0
        self.undo: str | None = None
        self.lost = self.compensating = False

    @property
    def effect(self) -> int:
        """The number of what is to happen once, however often it is asked for."""
        return self.repeats or self.id

    @property
    def undoable(self) -> bool:
        """What became of it has to be known, even though nobody waits for its result."""
        return self.undo is not None

    @property
    def wanted(self) -> bool:
        """Whether it is to be run, if it is not running."""
        return not self.abandoned or (self.lost and self.undo is not None)


class StartTimer(Command):
    """Answer at `due` (microseconds since 1970 UTC). With a scope, the answer cancels the scope. `last_look`: what the
    worker waits for before it lets it fire.
    """

    __slots__ = ("due", "last_look", "scope")

    kind = "timer"

    def __init__(self, name: str, due: int, scope: Scope | None = None) -> None:
        super().__init__(name)
        self.due = due
        self.scope = scope
        self.last_look: Any = None


class RecordPatch(Command):
    """Remember that `patched(name)` said yes."""

    __slots__ = ()

    kind = "patch"


class EndWorkflow(Command):
    """The workflow's code is over. Exactly one of the subclasses comes, as the last command."""

    __slots__ = ()


class CompleteWorkflow(EndWorkflow):
    __slots__ = ("result",)

    kind = "complete"

    def __init__(self, result: str) -> None:
        super().__init__("return")
        self.result = result


class FailWorkflow(EndWorkflow):
    """`failure` is an encoded Failure."""

    __slots__ = ("failure",)

    kind = "fail"

    def __init__(self, failure: str) -> None:
        super().__init__("raise")
        self.failure = failure


class ContinueWorkflow(EndWorkflow):
    """End this run, and begin the next one with `input`, packed arguments."""

    __slots__ = ("input",)

    kind = "recur"

    def __init__(self, input: str) -> None:
        super().__init__("recur")
        self.input = input


class CancelWorkflow(EndWorkflow):
    __slots__ = ("reason",)

    kind = "cancel"

    def __init__(self, reason: str | None) -> None:
        super().__init__("cancelled")
        self.reason = reason


class Compensate(Command):
    """The code is over, and what it has done is to be undone. `ending` is how it is going to end."""

    __slots__ = ("ending",)

    kind = "compensate"

    def __init__(self, ending: EndWorkflow) -> None:
        super().__init__(ending.name)
        self.ending = ending
