"""Posts and questions of those who are no instances. Each function is one transaction."""

from __future__ import annotations

import sqlite3

from perdure.ports import Mail, Post
from perdure_adapters.sqlite.membership import now, transaction
from perdure_adapters.sqlite.sending import send


def post(connection: sqlite3.Connection, service: str, mail: Mail) -> None:
    if mail:
        with transaction(connection):
            send(connection, service, [mail])


def ask(connection: sqlite3.Connection, service: str, ask_id: str, post: Post, ttl: int) -> None:
    with transaction(connection):
        connection.execute(
            "insert into perdure_asks (service, id, answer, expires_at) values (?, ?, null, ?) on conflict do nothing",
            (service, ask_id, now() + ttl),
        )
        send(connection, service, [Mail(posts=[post])])


def answer(connection: sqlite3.Connection, service: str, ask_id: str) -> str | None:
    sql = "select answer from perdure_asks where service = ? and id = ?"
    row = connection.execute(sql, (service, ask_id)).fetchone()
    return None if row is None else row[0]


def forget(connection: sqlite3.Connection, service: str, ask_id: str, target: str, again: bool) -> None:
    with transaction(connection):
        unread = connection.execute(
            "delete from perdure_inbox where service = ? and instance_id = ? and key = ? and key is not null",
            (service, target, ask_id),
        ).rowcount
        if unread:
            seen = "delete from perdure_seen where service = ? and target = ? and key = ?"
            connection.execute(seen, (service, target, ask_id))
        if unread or not again:
            connection.execute("delete from perdure_asks where service = ? and id = ?", (service, ask_id))
