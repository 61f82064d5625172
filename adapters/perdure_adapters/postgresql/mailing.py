"""What is sent by nobody's unit, and the questions of applications."""

from __future__ import annotations

from typing import Any

from perdure.ports import Mail, Post
from perdure_adapters.postgresql import publishing
from perdure_adapters.postgresql.statement import Question, build_mail

_ANSWER = "select answer from perdure_asks where service = $1 and id = $2"

_FORGET = """
with unread as (delete from perdure_inbox where service = $1 and instance_id = $3 and key = $2 returning id),
unseen as (delete from perdure_seen where service = $1 and target = $3 and key = $2 and exists (select from unread))
delete from perdure_asks where service = $1 and id = $2 and (not $4::bool or exists (select from unread))
"""


async def lock(connection: Any, service: str, mail: Mail) -> None:
    """What has to be locked before everything else in the transaction."""
    await publishing.lock(connection, service, {publication.channel for publication in mail.publications})


async def send(connection: Any, service: str, mail: Mail, asked: Question | None = None) -> None:
    """In a transaction, and after `lock`; or where it is `publishing.alone`."""
    sql, arguments = build_mail(service, mail, asked)
    if sql:
        await connection.fetchrow(sql, *arguments)
    await publishing.publish(connection, service, [mail], ())


async def post(connection: Any, service: str, mail: Mail) -> None:
    await _post(connection, service, mail, None)


async def _post(connection: Any, service: str, mail: Mail, asked: Question | None) -> None:
    if publishing.alone(mail):
        await send(connection, service, mail, asked)
        return
    async with connection.transaction():
        await lock(connection, service, mail)
        await send(connection, service, mail, asked)


async def ask(connection: Any, service: str, ask_id: str, post: Post, ttl: int, listener: str | None) -> None:
    await _post(connection, service, Mail([post]), (ask_id, ttl, listener))


async def answer(connection: Any, service: str, ask_id: str) -> str | None:
    found: str | None = await connection.fetchval(_ANSWER, service, ask_id)
    return found


async def forget(connection: Any, service: str, ask_id: str, target: str, again: bool) -> None:
    await connection.execute(_FORGET, service, ask_id, target, again)
