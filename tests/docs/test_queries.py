"""The queries in the documentation find something in a database that holds some of everything."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import anyio
from attrs import frozen

from docs.pages import all_blocks
from perdure import App, Retry, activity, sleep, subscribe, workflow


@frozen
class Order:
    item: str


@activity(retry=Retry(attempts=2, initial=0.01))
async def charge(order: Order) -> None:
    if order.item == "lamp":
        raise ConnectionError("the bank hung up")


@workflow
async def fulfil(order: Order) -> None:
    await charge(order)
    if order.item == "rug":
        await sleep(3600)


@workflow
async def listen() -> None:
    await subscribe("tasks", mode="competing")


async def test_every_query_finds_something(tmp_path: Path) -> None:
    queries = all_blocks("sql")
    assert len(queries) >= 5
    async with App(f"sqlite:///{tmp_path}/orders.db", workflows=[fulfil, listen]) as app:
        await (await app.start(fulfil.options(id="order-42"), Order("desk"))).result(timeout=60)
        await (await app.start(listen)).result(timeout=60)
        await app.publish("tasks", "nobody does it")
        failing = await app.start(fulfil, Order("lamp"))
        sleeping = await app.start(fulfil, Order("rug"))
        with anyio.fail_after(60):
            while (await failing.info()).status != "failed" or (await sleeping.info()).status != "waiting":
                await anyio.sleep(0.01)
        connection = sqlite3.connect(tmp_path / "orders.db")
        try:
            empty = [str(query) for query in queries if not connection.execute(query.text).fetchall()]
        finally:
            connection.close()
    assert not empty
