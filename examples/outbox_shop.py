"""A shop that writes its orders into its own table and tells a warehouse, which is down at first.

    python examples/outbox_shop.py [DATABASE]

It needs the extra perdure[relay]. The warehouse is an HTTP server in this program. Kill it at any moment and
run it again: each order is one row, and the warehouse hears of each at least once, in order. Delete the
database (outbox_shop.db, unless you named one) to begin anew.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import anyio

from perdure import App, activity, activity_info, emit, session, workflow
from perdure_adapters.relay import HttpPublisher


@dataclass(frozen=True)
class Order:
    id: str
    item: str


@activity
async def place(order: Order) -> None:
    async with session() as db:  # the transaction that this activity's result is recorded in
        await db.execute("insert into orders values (?, ?)", order.id, order.item)
        db.after_commit(lambda: say(f"{order.id}: written"))
    await emit("order.placed", {"item": order.item}, source="/shop", subject=order.id)
    if order.item == "lamp" and activity_info().attempt == 1:
        raise ConnectionError("this attempt leaves neither a row nor an event")


@activity
async def pack(order: Order) -> None:
    await anyio.sleep(0.1)


@workflow
async def buy(order: Order) -> None:
    await place(order)
    await pack(order)
    await emit("order.packed", None, source="/shop", subject=order.id)  # behind the one before: it has the same subject


class Warehouse(BaseHTTPRequestHandler):
    """Answers 500 twice. From then on it takes events, each once."""

    protocol_version = "HTTP/1.1"
    refused: ClassVar[int] = 0
    seen: ClassVar[set[tuple[str, str]]] = set()  # a real one keeps them in its database, with what it does about them
    lock: ClassVar[threading.Lock] = threading.Lock()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        what = f"{self.headers['ce-subject']}: {self.headers['ce-type']}"
        key = (self.headers["ce-source"], self.headers["ce-id"])
        with self.lock:
            if Warehouse.refused < 2:
                Warehouse.refused += 1
                say(f"{what}: 500")
                status = 500
            else:
                say(f"{what}: {'202, seen before' if key in self.seen else '202'}")
                self.seen.add(key)
                status = 202
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """The lines above will do."""


@contextmanager
def warehouse() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Warehouse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/events"
        server.shutdown()


def query(database: str, sql: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        return connection.execute(sql).fetchall()


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")  # at once: two threads speak here
    sys.stdout.flush()


async def main() -> None:
    database = sys.argv[1] if len(sys.argv) > 1 else "outbox_shop.db"
    query(database, "create table if not exists orders (id text primary key, item text not null)")
    orders = [Order("order-1", "desk"), Order("order-2", "lamp"), Order("order-3", "rug")]
    with warehouse() as url:
        async with App(f"sqlite:///{database}", workflows=[buy], publisher=HttpPublisher(url), lease=1.0) as app:
            handles = [await app.start(buy.options(id=order.id), order) for order in orders]
            for handle in handles:
                await handle.result(timeout=60)
            while await app.outbox(status="pending"):  # noqa: ASYNC110 - nothing tells when it is empty
                await anyio.sleep(0.1)
    say(f"orders: {', '.join(item for _, item in query(database, 'select id, item from orders order by id'))}")


if __name__ == "__main__":
    anyio.run(main)
