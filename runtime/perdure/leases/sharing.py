"""How the partitions are shared: each worker decides for itself, from the same census."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from attrs import frozen

from perdure.ports import Census, Holding, Member


@frozen
class Plan:
    """`claim` are free partitions, or those of the dead; `stolen` those among them that somebody may
    have worked on. `excess` is by how much more is held than the fair share. `forsaken` are ours by
    the census only, and to be released.
    """

    claim: Sequence[Holding] = ()
    stolen: frozenset[int] = frozenset()
    excess: int = 0
    forsaken: Sequence[Holding] = ()


def still_held(began: Mapping[int, int], now: Mapping[int, int]) -> dict[int, int]:
    """The partitions that have been held all the time, with their epochs: not those that were lost and regained."""
    return {partition: epoch for partition, epoch in began.items() if now.get(partition) == epoch}


def fair_share(me: str, alive: Sequence[str], partitions: int) -> int:
    """How many partitions are `me`'s: they are dealt out evenly, the first workers by id get the rest."""
    order = sorted(alive)
    share, rest = divmod(partitions, len(order))
    return share + (order.index(me) < rest)


def plan(me: str, held: Collection[int], census: Census, dead: Sequence[Member]) -> Plan:
    """What `me`, which holds `held`, should claim and release.

    A partition is free when nobody owns it, its owner has signed off or is dead, or when it is
    `me`'s by the census only: let go when the lease ran out, or in a release that failed. Unless
    nobody owned it, it is `stolen`: work may have been cut off in the middle.
    """
    gone = {member.id for member in dead}
    alive = [member.id for member in census.members if member.id not in gone]
    if me not in alive:
        return Plan()
    share = fair_share(me, alive, len(census.holdings))
    mine = [holding for holding in census.holdings if holding.owner == me and holding.partition in held]
    strays = [holding for holding in census.holdings if holding.owner == me and holding not in mine]
    if len(mine) > share:
        return Plan(excess=len(mine) - share, forsaken=strays)
    others = {member for member in alive if member != me}
    free = [holding for holding in census.holdings if holding not in mine and holding.owner not in others]
    # Every worker looks at the free ones in an order of its own, so that few meet at the same one.
    start = sorted(alive).index(me) * len(free) // len(alive)
    wanted = (free[start:] + free[:start])[: share - len(mine)]
    stolen = frozenset(holding.partition for holding in wanted if holding.owner is not None)
    return Plan(wanted, stolen, forsaken=[holding for holding in strays if holding not in wanted])
