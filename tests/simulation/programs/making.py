"""Random plans."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from attrs import define, field

from simulation.programs.kinds import Plan

KEYS = "abc"
#: Channels that anybody uses: one where all subscribe in one mode, one of the other, and one where modes clash.
NEWS, WORK, MIXED = "news", "work", "mixed"
#: Orders that are paid perhaps.
STRAY = ("x0", "x1", "x2")

_LEAVES = ("add", "add", "multiply", "come_again", "sleep", "late", "each")
_INNER = ("all", "group", "recover", "in_time", "first", "shielded", "changed")
_MESSAGES = ("letters", "heard", "published", "written", "chained", "served", "paid", "asked")
_WAITS = ("paid_or_not", "any_begun", "asked_or_not", "raced", "listened", "worked", "clashed")
_HOLDS = ("hold", "hold", "seize", "noted", "missed", "held_in_time", "held_or_not")
_EFFECTS = (*_HOLDS, "kept", "kept", "kept", "emitted", "emitted")
#: What there is to undo if a plan fails.
_DEEDS = ("hold", "seize", "noted", "held_in_time", "held_or_not", "kept")
_CHILDREN = ("called", "called", "spawned", "detached", "dropped", "abandoned", "given_up", "doomed")


@define
class Company:
    """Whom a plan may write to, and what the application has to do for it. `busy`: how much there is to be undone,
    to be written into the database, and to be emitted.
    """

    instances: list[str] = field(factory=list)
    servers: list[str] = field(factory=list)
    orders: list[str] = field(factory=list)
    doomed: list[str] = field(factory=list)
    busy: float = 0.0
    count: int = 0

    def next(self) -> int:
        self.count += 1
        return self.count


def make(chance: Random, company: Company | None = None) -> list[Plan]:
    """Without company it needs nobody else."""
    steps = [_step(chance, 3, company) for _ in range(chance.randint(1, 4))]
    if company is not None and chance.random() < 0.25:
        steps.insert(chance.randrange(len(steps) + 1), ["recur"])
    if chance.random() < (0.5 if _any(steps, _DEEDS) else 0.1):
        steps.append(["fail", chance.randrange(10)])
    return steps


def _step(chance: Random, depth: int, company: Company | None) -> Plan:
    if company is not None and company.busy and chance.random() < company.busy:
        return _effect(chance, company)
    if company is not None and chance.random() < 0.5:
        return _social(chance, depth, company)
    kind = chance.choice(_LEAVES + _INNER if depth else _LEAVES)
    if kind == "add":
        return [kind, chance.choice(KEYS), chance.randrange(1, 100)]
    if kind == "multiply":
        return [kind, chance.randrange(10), chance.randrange(10)]
    if kind == "come_again":
        return [kind, chance.randrange(1, 3)]
    if kind in ("sleep", "late"):
        return [kind, chance.choice((0.0, 0.01, 1.0, 5.0, 40.0, 1e6)) * chance.random()]
    if kind == "each":
        return [kind, [chance.randrange(10) for _ in range(chance.randrange(4))]]
    if kind in ("all", "group"):
        return [kind, [_step(chance, depth - 1, company) for _ in range(chance.randrange(4))]]
    return [kind, _step(chance, depth - 1, company)]


def _social(chance: Random, depth: int, company: Company) -> Plan:
    kind = chance.choice(_MESSAGES + _WAITS + _CHILDREN if depth > 1 else _MESSAGES + _WAITS)
    if kind in _CHILDREN:
        return _child(chance, kind, depth, company)
    seconds = chance.choice((0.001, 0.1, 1.0, 10.0)) * chance.random()
    count, activity = chance.randint(1, 3), chance.random() < 0.4
    everybody = [*company.instances, *company.servers, "nobody"]
    match kind:
        case "letters":
            return [kind, company.next(), count, activity]
        case "heard":
            return [kind, company.next(), count, chance.choice(("broadcast", "competing")), activity]
        case "published":
            return [kind, chance.choice((NEWS, NEWS, WORK, WORK, MIXED)), count, activity]
        case "written":
            return [kind, chance.choice(everybody), "letters", count, activity]
        case "chained":
            return [kind, count]
        case "served":
            return [kind, count, chance.randrange(3)]
        case "asked" if company.servers:
            return [kind, chance.choice(company.servers), chance.randrange(100)]
        case "asked_or_not":
            return [kind, chance.choice(everybody), chance.randrange(100), seconds]
        case "paid":
            company.orders.append(f"o{company.next()}")
            return [kind, company.orders[-1]]
        case "paid_or_not":
            return [kind, chance.choice(STRAY), seconds]
        case "raced":
            return [kind, company.next(), seconds, seconds * chance.choice((0.5, 1.0, 1.0, 2.0))]
        case "listened":
            return [kind, NEWS, count, seconds]
        case "worked":
            return [kind, WORK, count, seconds]
        case "clashed":
            return [kind, MIXED, chance.choice(("broadcast", "competing")), seconds]
    return ["any_begun", seconds]


def _any(plan: Plan, kinds: Sequence[str]) -> bool:
    """Whether there is such a step somewhere in it."""
    return any(_any(part, kinds) if isinstance(part, list) else part in kinds for part in plan)


def _effect(chance: Random, company: Company, crowded: bool = False) -> Plan:
    if not crowded and chance.random() < 0.3:
        return ["all", [_effect(chance, company, True) for _ in range(chance.randint(2, 4))]]
    kind = chance.choice(_EFFECTS)
    key, how = f"{chance.choice(KEYS)}{company.next()}", chance.choice(("", "", "", "first", "always"))
    subject = chance.choice((None, "left", "right"))
    seconds = chance.choice((0.001, 0.05, 0.5, 3.0)) * chance.random()
    match kind:
        case "missed":
            return [kind, key]
        case "held_in_time" | "held_or_not":
            return [kind, key, how, seconds]
        case "kept":
            channel = chance.choice((None, None, NEWS, WORK))
            nested = chance.choice(("", "", "kept", "lost", "deep"))
            by = chance.choice((0.0, 0.0, seconds))
            rows, failures = chance.randint(0, 2), chance.choice((0, 0, 1, 2))
            slow = chance.choice((0.0, 0.5, 4.0, 4.0)) * chance.random()
            return [kind, rows, failures, nested, how, chance.choice((None, subject)), channel, slow, by]
        case "emitted":
            poison = chance.choice(("no", "no", "no", "once", "always"))
            return [kind, subject, chance.randint(1, 3), chance.random() < 0.4, poison]
    return [kind, key, how]


def _child(chance: Random, kind: str, depth: int, company: Company) -> Plan:
    plan = [_step(chance, depth - 2, company) for _ in range(chance.randint(1, 2))]
    if chance.random() < (0.5 if _any(plan, _DEEDS) else 0.2):
        plan.append(["fail", chance.randrange(10)])
    elif chance.random() < 0.2:
        plan.insert(1, ["recur"])
    seconds = chance.choice((0.0, 0.1, 1.0, 5.0)) * chance.random()
    if kind in ("spawned", "abandoned", "given_up"):
        return [kind, plan, seconds]
    if kind == "doomed":
        company.doomed.append(f"d{company.next()}")
        return [kind, company.doomed[-1], plan]
    return [kind, plan]
