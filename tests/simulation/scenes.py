"""What a seed stages: programs, servers, and what the application does, all decided beforehand."""

from __future__ import annotations

from random import Random
from typing import Any

from attrs import define, frozen

from simulation.programs import Company, Plan, make
from simulation.programs.making import MIXED, NEWS, STRAY, WORK
from simulation.programs.servers import LETTERS, spec


@frozen
class Start:
    """A program, and when it is started and cancelled."""

    id: str
    plan: list[Plan]
    at: float
    cancel: float | None

    def __str__(self) -> str:
        return f"start {self.id} at {self.at:.2f} s: {self.plan}, cancel after {self.cancel}"


@frozen
class Errand:
    """Something that the application does: `kind` is a function of `errands`."""

    at: float
    kind: str
    number: int
    args: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.number} at {self.at:.2f} s: {self.args}"


@define
class Scene:
    """`needed` are errands without which the programs would wait for ever. `repair`: whether, at last, all is undone
    that could not be.
    """

    starts: list[Start]
    servers: dict[str, str]
    needed: list[Errand]
    errands: list[Errand]
    repair: bool = False


def stage(seed: int) -> Scene:
    chance = Random(f"programs:{seed}")
    ids = [f"i{number}" for number in range(chance.randint(1, 3))]
    servers = {f"s{number}": _server(chance) for number in range(chance.choice((0, 0, 1, 2, 3)))}
    company = Company(instances=ids, servers=list(servers), busy=chance.choice((0.0, 0.4, 0.8)))
    starts = []
    for id in ids:
        plan = make(chance, company)
        cancel = chance.random() * 5 if chance.random() < 0.2 else None
        starts.append(Start(id, plan, chance.random() * 3, cancel))
    needed = [_delivery(chance, company, order) for order in company.orders]
    errands = [_errand(chance, company) for _ in range(chance.choice((0, 0, 1, 2, 4)))]
    errands += [Errand(_moment(chance), "cancel", company.next(), (id,)) for id in company.doomed]
    if company.busy:
        errands += [_repair(chance, company) for _ in range(chance.choice((0, 1, 1, 2, 3)))]
    return Scene(starts, servers, needed, errands, chance.random() < 0.3)


def _moment(chance: Random) -> float:
    return chance.choice((0.5, 3.0, 8.0)) * chance.random()


def _delivery(chance: Random, company: Company, order: str) -> Errand:
    """Once, or several times, about then."""
    return Errand(_moment(chance), "deliver", company.next(), (order, chance.choice((1, 1, 2, 3))))


def _server(chance: Random) -> str:
    channels = []
    if chance.random() < 0.6:
        channels.append((NEWS, "broadcast"))
    if chance.random() < 0.6:
        channels.append((WORK, "competing"))
    events: list[dict[str, Any] | None] = []
    if chance.random() < 0.3:
        events.append(None)
    if chance.random() < 0.3:
        events.append({"order.kind": chance.choice(("even", "odd"))})
    return spec(
        channels,
        limit=chance.choice((0, 1, 2, 5)),
        width=chance.choice((1, 1, 2)),
        busy=chance.random() < 0.3,
        events=events,
    )


def _repair(chance: Random, company: Company) -> Errand:
    """Of what could not be undone, or published."""
    kind = chance.choice(("mend", "retry", "retry", "resend"))
    return Errand(chance.choice((3.0, 10.0, 30.0)) * chance.random(), kind, company.next(), ())


def _errand(chance: Random, company: Company) -> Errand:
    at, number = _moment(chance), company.next()
    everybody = [*company.instances, *company.servers]
    kind = chance.choice(("send", "publish", "publish", "ask", "deliver", "begin"))
    count = chance.randint(1, 3)
    match kind:
        case "send":
            return Errand(at, kind, number, (chance.choice(everybody), chance.choice((LETTERS, "other")), count))
        case "publish":
            return Errand(at, kind, number, (chance.choice((NEWS, WORK, MIXED)), count))
        case "ask":
            return Errand(at, kind, number, (chance.choice(company.servers or everybody), bool(company.servers)))
        case "deliver":
            return Errand(at, kind, number, (chance.choice(STRAY), count))
    return Errand(at, kind, number, ())
