"""Connections for activities' own transactions: a few, opened as they are needed, and as new each time."""

from __future__ import annotations

import asyncio

from pymysql.converters import decoders
from pymysql.err import MySQLError

from perdure_adapters.mysql.connection import Connection
from perdure_adapters.mysql.errors import translate
from perdure_adapters.mysql.pool import TIME_LIMIT, Pool
from perdure_adapters.mysql.target import Target

#: Seconds that transactions still open have when the store closes.
_GRACE = 1.0


class Sessions(Pool):
    """Lends connections that read values as the driver does. Who finds all of them lent waits for his turn."""

    def __init__(self, target: Target) -> None:
        super().__init__(target, size=target.session_connections, limit=_GRACE)
        self._lent: set[Connection] = set()
        self._clearing: set[asyncio.Task[None]] = set()

    async def borrow(self) -> Connection:
        """To be given back. Raises as `run`."""
        await self._free.acquire()
        try:
            connection = await self._take()
        except BaseException as error:
            self._free.release()
            if isinstance(error, Exception):
                raise translate(error, self.target.place, opening=not self.ready) from error
            raise
        connection.driver.decoders = decoders
        self._lent.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Its transaction is over. Nobody waits while it is cleared of temporary tables, locks, variables ..."""
        self._lent.discard(connection)
        task = asyncio.get_running_loop().create_task(self._clear(connection))
        self._clearing.add(task)
        task.add_done_callback(self._clearing.discard)

    async def _clear(self, connection: Connection) -> None:
        try:
            if connection.usable and not connection.doubt:
                async with asyncio.timeout(TIME_LIMIT):
                    await connection.reset()
        except (MySQLError, OSError):
            connection.abandon()
        finally:
            self._put(connection)
            self._free.release()

    async def close(self) -> None:
        await super().close()
        while self._lent:  # whoever has it is not coming back
            self._lent.pop().abandon()
