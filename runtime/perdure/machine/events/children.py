"""What became of workflows that this one started."""

from __future__ import annotations

from attrs import define

from perdure.machine.events.base import Answer, text


@define
class ChildStarted(Answer):
    """The child exists, under this `id`. `detached`: it is to outlive its parent."""

    answers = "spawn"

    id: str
    detached: bool = False

    def data(self) -> str:
        return text({"id": self.id, "detached": True} if self.detached else {"id": self.id})


@define
class ChildRefused(Answer):
    """It cannot be started; `error` is an encoded Failure."""

    answers = "spawn"

    error: str

    def data(self) -> str:
        return self.error


@define
class ChildEnded(Answer):
    """`command` is the one that started it. `ending` is JSON text: its last event, {"kind": ..., "data": ...}."""

    answers = "child"

    ending: str

    def data(self) -> str:
        return self.ending


@define
class ChildCancelled(Answer):
    """It was asked to end."""

    answers = "cancel child"

    id: str

    def data(self) -> str:
        return text({"id": self.id})
