"""Mail from outside, questions and answers. Each function is one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from pymysql.err import MySQLError

from perdure.ports import Mail, Post
from perdure_adapters.mysql.connection import Connection, Result
from perdure_adapters.mysql.errors import DUPLICATE, code
from perdure_adapters.mysql.sending import ASKS, SEEN, Statement, locks, sending, withdrawing

#: Each time it was another one who was faster.
_TRIES = 20

_ASK = (
    "insert into perdure_asks (service, id, expires_at) values (%s, %s, timestampadd(microsecond, %s, now(6))) "
    "on duplicate key update id = id"
)
_UNREAD = (
    "select id from perdure_inbox force index (perdure_inbox_key) "
    "where service = %s and instance_id = %s and `key` = %s"
)
_UNSEEN = "delete from perdure_seen where service = %s and target = %s and `key` = %s"
_FORGET = "delete from perdure_asks where service = %s and id = %s"


async def commit(
    connection: Connection, work: Callable[[], Awaitable[Sequence[Statement] | None]]
) -> list[tuple[str, Result]]:
    """The statements that `work` gives, and COMMIT; all of it again where others were faster with a key.

    What each has found, with what it writes to.
    """
    for left in reversed(range(_TRIES)):
        todo = await work()
        if todo is None:
            if connection.in_transaction:
                await connection.rollback()
            return []
        try:
            results = await connection.commit(*(text for _, text in todo))
        except MySQLError as error:
            failed = connection.answered
            if not left or code(error) != DUPLICATE or failed >= len(todo) or todo[failed][0] != SEEN:
                raise
            await connection.rollback()
        else:
            return [(table, result) for (table, _), result in zip(todo, results, strict=False)]
    raise AssertionError("the last try returns or raises")


async def post(connection: Connection, service: str, mail: Mail) -> None:
    if mail:
        await _send(connection, service, mail, [])


async def ask(connection: Connection, service: str, ask_id: str, post: Post, ttl: int) -> None:
    asks = [(ASKS, connection.sql(_ASK, service, ask_id, ttl))]
    await _send(connection, service, Mail(posts=[post]), asks)


async def _send(connection: Connection, service: str, mail: Mail, last: Sequence[Statement]) -> None:
    async def work() -> list[Statement]:
        first = [("", text) for text in ("begin", *locks(connection, service, mail, ()))]
        return [*first, *sending(connection, service, mail), *last]

    await commit(connection, work)


async def answer(connection: Connection, service: str, ask_id: str) -> str | None:
    found = await connection.rows("select answer from perdure_asks where service = %s and id = %s", service, ask_id)
    return found[0][0] if found else None


async def forget(connection: Connection, service: str, ask_id: str, target: str, again: bool) -> None:
    found = await connection.rows(_UNREAD, service, target, ask_id)
    statements = [connection.sql(_UNSEEN, service, target, ask_id)] if found else []
    statements += [text for _, text in withdrawing(service, [(target, ask_id)])] if found else []
    if found or not again:
        await connection.commit("begin", *statements, connection.sql(_FORGET, service, ask_id))
