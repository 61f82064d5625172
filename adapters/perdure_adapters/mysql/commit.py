"""The group commit: every unit whole or not at all, losers found before anything is written.

The epoch rows, locked in share mode, are the fence; the primary key of the events is the second one.
First everything is sent at once, under guards: one round trip. Where anything is in the way, it is two:
one that locks and judges, one that writes what may be written, and commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define
from pymysql.err import MySQLError

from perdure.ports import Outcome, Unit
from perdure_adapters.mysql.blocking import blocked
from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.errors import AGAIN, DUPLICATE, LOCKED, code, cut
from perdure_adapters.mysql.guards import guards
from perdure_adapters.mysql.judging import judge
from perdure_adapters.mysql.sending import EVENTS, INSTANCES, SEEN, Statement
from perdure_adapters.mysql.writing import statements

#: How often a commit is tried again before what was in its way, and cannot be found, is reported.
TRIES = 4


async def commit(
    connection: Connection, service: str, units: Sequence[Unit], commit_id: int, again: bool, wait: bool
) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    if not wait:
        stuck = await blocked(connection, service, units)
        outcomes.update((place, Outcome.BUSY) for place in _busy(units, range(len(units)), stuck))
    attempt = Attempt(connection, service, commit_id, again)
    eager = not again  # whose outcome is in doubt has to look for itself
    tries = 0
    while len(outcomes) < len(units):
        places = [place for place in range(len(units)) if place not in outcomes]
        todo = [units[place] for place in places]
        was_eager, eager = eager, False
        try:
            found = await attempt.eagerly(todo) if was_eager else await attempt.judged(todo)
        except MySQLError as error:
            if cut(error) or code(error) in AGAIN or connection.doubt:
                raise
            await connection.rollback()  # else only the statement is undone
            if code(error) in LOCKED:
                stuck = await blocked(connection, service, todo)
                outcomes.update((place, Outcome.BUSY) for place in _busy(units, places, stuck))
            elif not was_eager and not attempt.may_look_again(error):
                raise
            tries += 1
            if tries > TRIES:
                alone = len(todo) == 1 or (todo[0].link != 0 and len({unit.link for unit in todo}) == 1)
                if not alone or code(error) not in LOCKED:
                    raise
                outcomes.update((place, Outcome.BUSY) for place in places)  # whatever it is that somebody has locked
        else:
            if found is not None:
                outcomes.update(zip(places, found, strict=True))
    return [outcomes[place] for place in range(len(units))]


def _busy(units: Sequence[Unit], places: Iterable[int], stuck: set[str]) -> list[int]:
    """Those that are stuck, and those linked to them."""
    places = list(places)
    links = {units[place].link for place in places if units[place].instance_id in stuck} - {0}
    return [place for place in places if units[place].instance_id in stuck or units[place].link in links]


@define
class Attempt:
    """`first`: what is sent in front of everything else. `table`: where it was writing when it failed."""

    connection: Connection
    service: str
    commit_id: int
    again: bool
    first: Sequence[str] = ("begin",)
    table: str | None = None

    async def eagerly(self, units: Sequence[Unit]) -> list[Outcome] | None:
        """None: it cannot be done in this way. Whatever error there is, judging tells more."""
        checks = guards(self.connection, self.service, units)
        if checks is None:
            return None
        todo = statements(self.connection, self.service, units, self.commit_id)
        await self.connection.commit(*self.first, *checks, *(text for _, text in todo))
        return [Outcome.COMMITTED] * len(units)

    async def judged(self, units: Sequence[Unit]) -> list[Outcome]:
        self.table = None
        verdict = await judge(self.connection, self.service, units, self.commit_id, self.again, self.first)
        if not verdict.todo:
            await self.connection.rollback()
            return verdict.outcomes
        todo = statements(self.connection, self.service, verdict.todo, self.commit_id)
        await self._write(todo)
        return verdict.outcomes

    async def _write(self, todo: Sequence[Statement]) -> None:
        try:
            await self.connection.commit(*(text for _, text in todo))
        except MySQLError:
            failed = self.connection.answered
            self.table = todo[failed][0] if failed < len(todo) else None
            raise

    def may_look_again(self, error: MySQLError) -> bool:
        """Whether the row that was there already tells how the units fare: judging then finds it.

        An instance is another starter's, who was faster, and so is what was to be sent once. Events may be this
        very commit's, arrived late.
        """
        return code(error) == DUPLICATE and (self.table in (INSTANCES, SEEN) or (self.table == EVENTS and self.again))
