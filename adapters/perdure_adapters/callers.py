"""Connections that are their callers' own: perdure's rows are written on them, in whatever transaction they are.

A statement is written once, with `:named` arguments, and put into the words of whoever carries it out. Nothing here
begins, commits or rolls back anything.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from perdure.errors import UsageError
from perdure.ports import Emission, Letter, Transaction

Rows: TypeAlias = Sequence[Sequence[Any]]

_NAMED = re.compile(r":([a-z]+)\b")
#: SQLAlchemy's, by what they have to be awaited for.
_ASYNC = frozenset(("AsyncSession", "AsyncConnection", "async_scoped_session"))
_BLOCKING = frozenset(("Session", "Connection", "scoped_session"))


class Line(Protocol):
    """How statements reach a connection. `blocking`: its calls block, and `run` never suspends."""

    blocking: bool

    async def run(self, sql: str, values: Mapping[str, Any]) -> Rows:
        """Raises what the driver raises."""
        ...


class Own:
    """A transaction that the store has begun itself. `mark`: the driver's placeholder for the nth argument."""

    blocking = False

    def __init__(self, transaction: Transaction, mark: Callable[[int], str]) -> None:
        self._transaction = transaction
        self._mark = mark

    async def run(self, sql: str, values: Mapping[str, Any]) -> Rows:
        text, arguments = numbered(sql, values, self._mark)
        return [list(row.values()) for row in await self._transaction.fetch(text, arguments)]


class DBAPI:
    """A connection by Python's DB-API, or Django's. `mark` as in `Own`."""

    blocking = True

    def __init__(self, connection: Any, mark: Callable[[int], str]) -> None:
        self._connection = connection
        self._mark = mark

    async def run(self, sql: str, values: Mapping[str, Any]) -> Rows:
        text, arguments = numbered(sql, values, self._mark)
        cursor = self._connection.cursor()
        try:
            cursor.execute(text, tuple(arguments))
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            cursor.close()


class SQLAlchemy:
    """A session, or a connection, of its own or of its asyncio extension. `dialects`: those of the right database."""

    def __init__(self, given: Any, dialects: Sequence[str], *, blocking: bool) -> None:
        self._given = given
        self._dialects = dialects
        self.blocking = blocking

    async def run(self, sql: str, values: Mapping[str, Any]) -> Rows:
        from sqlalchemy import text

        connection = self._given
        if hasattr(connection, "registry"):  # a scoped session
            connection = connection.registry()
        if not hasattr(connection, "dialect"):  # a session
            connection = await _done(connection.connection())
        _compare(connection.dialect.name, self._dialects)
        result = await _done(connection.execute(text(sql), dict(values)))
        return list(result) if result.returns_rows else []


async def _done(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def framework_line(connection: Any, dialects: Sequence[str]) -> Line | None:
    """None for what is neither SQLAlchemy's nor Django's. `dialects`: what these call the right database."""
    names = classes(connection, "sqlalchemy")
    if names & _ASYNC:
        return SQLAlchemy(connection, dialects, blocking=False)
    if names & _BLOCKING:
        return SQLAlchemy(connection, dialects, blocking=True)
    if classes(connection, "django") and hasattr(connection, "vendor"):
        _compare(connection.vendor, dialects)
        return DBAPI(connection, lambda _: "%s")
    return None


def classes(connection: Any, library: str) -> set[str]:
    """The names of those of its classes that are a library's; nothing of it is imported where it was not before."""
    return {cls.__name__ for cls in type(connection).__mro__ if cls.__module__.partition(".")[0] == library}


def _compare(name: str, dialects: Sequence[str]) -> None:
    if name not in dialects:
        raise UsageError(
            f"this connection is to {name}, and the app's database is {dialects[0]}; use one to the app's own database"
        )


def numbered(sql: str, values: Mapping[str, Any], mark: Callable[[int], str]) -> tuple[str, list[Any]]:
    """The statement with the driver's placeholders, and the arguments in their order."""
    arguments: list[Any] = []

    def place(found: re.Match[str]) -> str:
        arguments.append(values[found[1]])
        return mark(len(arguments))

    return _NAMED.sub(place, sql), arguments


class SQLGuest:
    """The documented `perdure.ports.Guest`. `letter` and `emission` are statements with the fields of these as
    arguments, and those of `common`. `missing` tells the error of a table that is not there.
    """

    def __init__(
        self,
        line: Line,
        *,
        letter: str,
        emission: str,
        common: Mapping[str, Any],
        missing: Callable[[BaseException], bool],
        place: str,
    ) -> None:
        self._line = line
        self._letter = letter
        self._emission = emission
        self._common = common
        self._missing = missing
        self._place = place

    async def write(self, letter: Letter) -> None:
        own = {"partition": letter.partition, "kind": letter.kind, "key": letter.key, "body": letter.body}
        await self._run(self._letter, own)

    async def emit(self, emission: Emission) -> None:
        own = {
            "id": emission.id,
            "lane": emission.lane,
            "partition": emission.partition,
            "data": ascii_json(emission.data),
        }
        await self._run(self._emission, own)

    async def check(self) -> None:
        """Raises UsageError where it is known that the database is another one."""

    async def _run(self, sql: str, own: Mapping[str, Any]) -> None:
        await self.check()
        try:
            await self._line.run(sql, {**self._common, **own})
        except Exception as error:
            if any(self._missing(one) for one in _chain(error)):
                raise UsageError(
                    f"this connection is to a database, or a schema of it, without perdure's tables; use one to the "
                    f"app's own, {self._place}, and roll this transaction back"
                ) from error
            raise


def line_for(line: Line | None, connection: Any, blocking: bool, takes: str, blocking_takes: str) -> Line:
    """The line, if it is of the kind that is wanted. Raises UsageError. `takes`: what would be
    right; `blocking_takes`: of connections that block."""
    if line is None:
        name, drivers = ("app.sync.using", blocking_takes) if blocking else ("app.using", takes)
        raise UsageError(
            f"{name} takes a connection to the app's own database: {drivers}, or SQLAlchemy's; not "
            f"{type(connection).__module__}.{type(connection).__qualname__}"
        )
    if line.blocking and not blocking:
        raise UsageError("this connection's calls block the event loop; use app.sync.using(...), outside of it")
    if blocking and not line.blocking:
        raise UsageError("this connection's calls are to be awaited; use `await app.using(...)` in its event loop")
    return line


def ascii_json(text: str) -> str:
    """The same JSON without a character that some connection could change."""
    return text if text.isascii() else "".join(one if one.isascii() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))


def _chain(error: BaseException | None) -> Sequence[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = getattr(error, "orig", None) or error.__cause__
    return found
