"""A session with perdure's settings, and how statements are sent in it.

A round trip costs more than most statements, so several go in one packet. The server carries them
out in order and stops at the first error; what has been done by then is to be rolled back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import aiomysql  # type: ignore[import-untyped]  # it has no types
from attrs import frozen
from pymysql.constants import CLIENT, CR
from pymysql.err import MySQLError, OperationalError

from perdure.errors import StoreError
from perdure_adapters.mysql.errors import AGAIN, cut
from perdure_adapters.mysql.target import Target
from perdure_adapters.mysql.values import READERS, quote

#: Seconds until a server that cannot be reached is given up.
CONNECT_TIMEOUT = 5.0
#: Bytes of a packet, up to which statements are put together.
PACKET = 1 << 20

ISOLATION = "set session transaction isolation level read committed"
STRICT = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
#: Short waits: a stranger's lock must not stall everybody. An idle session ends, with its locks, should its
#: process have been stopped; the pool gives up idle ones before.
SETTINGS = (
    f"set session sql_mode = '{STRICT}', "
    "time_zone = '+00:00', innodb_lock_wait_timeout = 1, lock_wait_timeout = 5, wait_timeout = 30, "
    "group_concat_max_len = 1048576"
)
_MARIADB_SETTINGS = "set session idle_transaction_timeout = 5"
#: The protocol's COM_RESET_CONNECTION, which the driver does not know.
_RESET = 0x1F
#: The guards of a commit rest on this being an error.
_BELOW_ZERO = "set @perdure = (select cast(count(*) as unsigned) - 1 from (select 1 as one) t where one = 2)"
_OUT_OF_RANGE = 1690


@frozen
class Result:
    """What a statement gave: its rows, or how many it has found to write."""

    rows: Sequence[tuple[Any, ...]]
    affected: int


class Connection:
    """`driver`: the connection that it is. `mariadb`, or else MySQL. `stops`: numbers below 0 that cannot be are an
    error to it. `largest`: bytes that it takes in a packet. `answered`: how many of the statements sent last were
    carried out. `doubt`: a COMMIT got no answer.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.mariadb = True
        self.stops = False
        self.largest = PACKET
        self.answered = 0
        self.doubt = False

    async def settle(self, place: str) -> None:
        """Before anything else: what server this is, and perdure's settings."""
        ((version, self.largest),) = await self.rows("select version(), @@max_allowed_packet")
        self.mariadb = _is_mariadb(version, place)
        await self.run(ISOLATION, SETTINGS, *([_MARIADB_SETTINGS] if self.mariadb else []))
        try:
            await self.run(_BELOW_ZERO)
        except MySQLError as error:
            if error.args[0] != _OUT_OF_RANGE:
                raise
            self.stops = True

    @property
    def share(self) -> str:
        """A shared lock that does not wait; the syntax for one that does is the same everywhere."""
        return "lock in share mode" if self.mariadb else "for share"

    @property
    def usable(self) -> bool:
        """False once either side has closed it. A server that ends an idle session is heard of here first."""
        reader, writer = self.driver._reader, self.driver._writer
        if reader is None or writer is None or writer.transport.is_closing():
            return False
        return not (reader.exception() or reader.at_eof() or reader.eof_received)

    @property
    def in_transaction(self) -> bool:
        return bool(self.driver.get_transaction_status())

    @property
    def cut_off(self) -> bool:
        """Whether a cancellation has closed it in the middle of a statement, which may go on."""
        return self.driver._close_reason is not None

    @property
    def number(self) -> int:
        """The server's, for KILL."""
        return int(self.driver.thread_id())

    @contextmanager
    def reading(self) -> Iterator[None]:
        """With perdure's readers, where it has others."""
        before, self.driver.decoders = self.driver.decoders, READERS
        try:
            yield
        finally:
            self.driver.decoders = before

    def sql(self, template: str, *values: object) -> str:
        """The template with values for each %s; a list or tuple becomes (one, another ...)."""
        return template % tuple(map(quote, values))

    async def rows(self, template: str, *values: object) -> Sequence[tuple[Any, ...]]:
        (result,) = await self.run(self.sql(template, *values))
        return result.rows

    async def run(self, *statements: str) -> list[Result]:
        results: list[Result] = []
        self.answered = 0
        for packet in self._packets(statements):
            await self._send(packet, results)
        return results

    async def commit(self, *statements: str) -> list[Result]:
        """The last statements of a transaction, and COMMIT."""
        *packets, last = self._packets([*statements, "commit"])
        results: list[Result] = []
        self.answered = 0
        for packet in packets:
            await self._send(packet, results)
        self.doubt = True
        try:
            await self._send(last, results)
        except MySQLError as error:
            if not cut(error) and (self.answered < len(statements) or error.args[0] in AGAIN):
                self.doubt = False  # the server has said no before it came to the COMMIT
            raise
        self.doubt = False
        return results

    async def rollback(self) -> None:
        await self.run("rollback")

    async def reset(self) -> None:
        """Make the session a new one, but for its database. What is open is rolled back."""
        await self.driver._execute_command(_RESET, b"")
        await self.driver._read_ok_packet()

    async def close(self) -> None:
        """Say goodbye, and wait until the socket is closed."""
        if not self.usable:
            self.abandon()
            return
        writer = self.driver._writer
        await self.driver.ensure_closed()
        if writer is not None:
            await writer.wait_closed()

    def abandon(self) -> None:
        """Close it without a word: nobody knows what state it is in."""
        self.driver.close()

    def _packets(self, statements: Sequence[str]) -> list[bytes]:
        # Encoded here, and strictly: the driver would let half of a surrogate pair through as a byte.
        packets: list[bytes] = []
        some: list[bytes] = []
        size = 0
        for statement in statements:
            one = statement.encode()
            if len(one) + 16 > self.largest:
                raise StoreError(
                    f"a row of {len(one)} bytes is larger than max_allowed_packet ({self.largest}) of the database; "
                    "raise that, or store less: this is not retried"
                )
            if some and size + len(one) > min(PACKET, self.largest - 16):
                packets.append(b";".join(some))
                some, size = [], 0
            some.append(one)
            size += len(one) + 1
        packets.append(b";".join(some))
        return packets

    async def _send(self, packet: bytes, results: list[Result]) -> None:
        # Not by a cursor: that one asks for the text of each warning, a round trip each.
        driver = self.driver
        if not self.usable:  # uvloop's transports raise a RuntimeError of their own
            raise OperationalError(CR.CR_SERVER_LOST, "the connection was cut")
        await driver.query(packet)
        while True:
            found = driver._result
            self.answered += 1
            results.append(Result(found.rows or (), found.affected_rows))
            if not found.has_next:
                return
            await driver.next_result()


async def connect(target: Target) -> Connection:
    """Raises what the driver raises, and StoreError for a server that will not do."""
    try:
        driver = await aiomysql.connect(
            **target.arguments,
            charset="utf8mb4",
            autocommit=True,
            client_flag=CLIENT.FOUND_ROWS,
            conv=READERS,
            connect_timeout=None,  # the pool's; wait_for of Python 3.11 swallows cancellations
            program_name="perdure",
        )
    except RuntimeError as error:
        if "closed=True" in str(error):  # uvloop's words for a socket that was reset
            raise OperationalError(CR.CR_SERVER_LOST, str(error)) from error
        # MySQL's usual way to log in needs encryption of one kind or another
        raise StoreError(
            f"cannot log in to the database {target.place} ({error}); use ?ssl=true, or install cryptography"
        ) from None
    try:
        if target.tls is not None and not driver._secure:
            raise StoreError(f"the database {target.place} speaks no TLS; set it up there, or leave ?ssl out")
        connection = Connection(driver)
        await connection.settle(target.place)
    except BaseException:
        driver.close()
        raise
    return connection


def _is_mariadb(version: str, place: str) -> bool:
    mariadb = "mariadb" in version.lower()
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < ((10, 6) if mariadb else (8, 0)):
        raise StoreError(f"the database {place} is {version}; perdure needs MariaDB 10.6 or MySQL 8.0, or newer")
    return mariadb
