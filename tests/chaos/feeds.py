"""What a client does for a workflow that it has started: sends, questions, events."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from perdure import App, Handle

#: Seconds that an answer may take, whatever is killed meanwhile.
_PATIENCE = 30.0
SOURCE = "/chaos"


@frozen
class Feed:
    """`kind`: "send", "ask" or "event". `name` is the channel, or the event's type. `answer`: what is right."""

    kind: str
    name: str
    value: Any
    id: str
    answer: Any = None

    async def perform(self, app: App, handle: Handle[Any]) -> Any:
        """Once, however often it is done: the id is the same."""
        if self.kind == "send":
            await handle.send(self.name, self.value, id=self.id)
        elif self.kind == "ask":
            return await handle.ask(self.name, self.value, int, timeout=_PATIENCE, id=self.id)
        else:
            await app.deliver({"id": self.id, "source": SOURCE, "type": self.name, "data": self.value})
        return None


def sends(id: str, name: str, values: list[int]) -> tuple[Feed, ...]:
    return tuple(Feed("send", name, value, f"{id}-{name}-{number}") for number, value in enumerate(values))


def asks(id: str, name: str, values: list[int]) -> tuple[Feed, ...]:
    return tuple(
        Feed("ask", name, value, f"{id}-{name}-{number}", sum(values[: number + 1]))
        for number, value in enumerate(values)
    )


def events(id: str, name: str, count: int) -> tuple[Feed, ...]:
    """Each is delivered twice."""
    return tuple(
        Feed("event", name, {"key": id, "number": number}, f"{id}-{name}-{number}")
        for number in range(count)
        for _ in range(2)
    )
