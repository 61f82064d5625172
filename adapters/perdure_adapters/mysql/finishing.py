"""Both ends of an activity's own transaction. The last one is perdure's unit, judged and written as any, and COMMIT.

Whatever else a session's statements may have set is put right in front of each end.
"""

from __future__ import annotations

import math

from pymysql.err import MySQLError

from perdure.errors import StoreError
from perdure.ports import Outcome, Unit
from perdure_adapters.mysql.commit import TRIES, Attempt
from perdure_adapters.mysql.connection import ISOLATION, SETTINGS, STRICT, Connection
from perdure_adapters.mysql.errors import AGAIN, LOCKED, code, cut

#: Set at the beginning: whatever ends the transaction takes it away.
_BEGUN = "perdure_begun"
#: Between what others have written and perdure's own rows.
_UNIT = "perdure_unit"

NO_SAVEPOINT = 1305

#: Seconds of idleness, at least and at most, after which the server ends a session.
_SHORTEST, _LONGEST = 30, 1_000_000


async def start(connection: Connection, database: str, limit: float) -> None:
    """Begin a transaction that is as the server's others are, but strict, and READ COMMITTED."""
    seconds = math.ceil(min(max(limit, _SHORTEST), _LONGEST))
    idle = f", idle_transaction_timeout = {seconds}" if connection.mariadb else ""
    await connection.run(
        *_place(database),
        ISOLATION,
        f"set session autocommit = 0, sql_mode = '{STRICT}', time_zone = default, innodb_lock_wait_timeout = default, "
        f"lock_wait_timeout = default, group_concat_max_len = default, wait_timeout = {seconds}{idle}",
        "begin",
        f"savepoint {_BEGUN}",
    )


async def finish(connection: Connection, service: str, database: str, unit: Unit, commit_id: int) -> Outcome:
    """Commits, or rolls back and tells why. After an error the transaction may still be open.

    First everything at once, under guards: one round trip. Where anything is in the way, perdure's part is taken
    back, and judged.
    """
    first = (f"release savepoint {_BEGUN}", *_place(database), SETTINGS, f"savepoint {_UNIT}")
    attempt = Attempt(connection, service, commit_id, again=False, first=first)
    eager = True
    for left in reversed(range(TRIES)):
        was_eager, eager = eager, False
        try:
            found = await (attempt.eagerly([unit]) if was_eager else attempt.judged([unit]))
        except MySQLError as error:
            if attempt.first is first and not connection.answered and code(error) == NO_SAVEPOINT:
                raise ended() from error
            if cut(error) or code(error) in AGAIN | LOCKED or connection.doubt:
                raise
            if not left or (not was_eager and not attempt.may_look_again(error)):
                raise
            attempt.first = (f"rollback to savepoint {_UNIT}",)
        else:
            if found is not None:
                return found[0]
    raise AssertionError  # the last round returns or raises


def ended() -> StoreError:
    return StoreError(
        "a statement has ended the transaction before its time: session() commits by itself, together with the "
        "activity's result; leave COMMIT and ROLLBACK out, and DDL as well, which commits implicitly"
    )


def _place(database: str) -> list[str]:
    return [f"use `{database.replace('`', '``')}`", "set names utf8mb4"]
