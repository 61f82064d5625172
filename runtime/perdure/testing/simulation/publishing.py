"""Publishers that are slow, fail, and are watched, and the broker that they publish to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from attrs import define, field

from perdure.cloudevents.publishing import Unpublished
from perdure.errors import TerminalError
from perdure.operations.events import Event
from perdure.testing.simulation.ledger import Violation
from perdure.testing.simulation.processes import Process

if TYPE_CHECKING:
    from perdure.testing.simulation.world import World

#: Times that the simulation lets the publishing of one event fail, so that it comes to rest.
_DISTURBED = 4
#: The extension by which an event says when the broker will not have it: "once" or "always".
POISON = "poison"


@define
class Sending:
    """That a process began to publish an event. `aware`: although it knew that its partition was another's.

    `received` and `done` are moments, None for never: when the broker had it, and when the process was told so.
    """

    process: str
    id: str
    aware: bool
    received: int | None = None
    done: int | None = None


@define
class Broker:
    """`failures` and `refusals` are counted by event. What the broker has, it has for good."""

    sendings: list[Sending] = field(factory=list)
    failures: dict[str, int] = field(factory=dict)
    refusals: dict[str, int] = field(factory=dict)

    def fails(self, id: str) -> bool:
        """Whether it may fail once more; it does."""
        self.failures[id] = self.failures.get(id, 0) + 1
        return self.failures[id] <= _DISTURBED

    def refuses(self, id: str, poison: object) -> bool:
        self.refusals[id] = self.refusals.get(id, 0) + 1
        return poison == "always" or (poison == "once" and self.refusals[id] == 1)


class SimulatedPublisher:
    """Of one process: what is under way when that dies or stands still has come to the broker, or has not."""

    max_age = 1e9  # seconds; longer than any clock jumps

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def __aenter__(self) -> None:
        if not self._world.calm and self._world.chance.random() < 0.05:
            raise ConnectionError("the simulation does not open the publisher")

    async def __aexit__(self, *error: object) -> None: ...

    async def publish(self, event: Event[Any], /) -> None:
        await self._process.frozen(self._publish(event))  # the relay's tasks are in a group of its own

    async def _publish(self, event: Event[Any]) -> None:
        world, chance = self._world, self._world.chance
        sending = self._begin(event)
        luck = 0.5 if world.calm else chance.random()
        await anyio.sleep(chance.choice((0.0, 0.001, 0.05, 0.5, 3.0)) * chance.random())
        if luck < 0.15 and world.broker.fails(event.id):
            raise self._failure()
        if world.broker.refuses(event.id, event.extensions.get(POISON)):
            raise TerminalError("the broker will not have this")
        sending.received = world.log.tick()
        await anyio.sleep(chance.choice((0.0, 0.001, 0.5)) * chance.random())
        if luck > 0.9 and world.broker.fails(event.id):
            raise self._failure()
        sending.done = world.log.tick()

    def _begin(self, event: Event[Any]) -> Sending:
        world, process = self._world, self._process
        emitted = world.log.emitted[event.id][0]
        holding = world.database.holdings[emitted.emission.partition]
        aware = holding.owner != process.name and process.informed > world.taken.get(holding.partition, 0.0)
        if any(one.id == event.id and one.process == process.name and one.done for one in world.broker.sendings):
            world.fail(Violation(f"{process.name} publishes event {event.id} again, which it has published"))
        sending = Sending(process.name, event.id, aware)
        world.broker.sendings.append(sending)
        world.note(f"{process.name} publishes {event.id}")
        return sending

    def _failure(self) -> Exception:
        chance = self._world.chance
        if chance.random() < 0.5:
            return ConnectionError("the simulation cut the connection to the broker")
        return Unpublished("the simulated broker has no time", retry_after=chance.random())
