"""What today's code would make of the instances that are under way."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import anyio
import pytest

from operating import orders
from operating.orders import ALL, settled, until
from perdure import App, InvalidInput, Verdict, Workflow, receive, wait_event, workflow
from perdure.inspection import verification
from perdure.ports import Stored


async def verdicts(url: str, *workflows: Any, **options: Any) -> dict[str, Verdict]:
    async with App(url, workflows=workflows, worker=False) as app:
        return {verdict.instance_id: verdict async for verdict in app.verify(**options)}


@pytest.fixture
async def waiting(anyio_backend: object) -> str:
    """A database with three notes and a pick that wait, and one note that is done."""
    url = f"memory://{uuid.uuid4().hex}"
    async with App(url, workflows=ALL) as app:
        for number in range(3):
            await app.start(orders.note.options(id=f"n{number}"), "desk")
        await app.start(orders.pick.options(id="p"), "desk")
        done = await app.start(orders.note.options(id="done"), "desk")
        await done.send("notes", "x")
        await until(app, "done", lambda info: info.status == "completed")
        await settled(app, "n0", "n1", "n2", "p")
    return url


async def test_nothing_has_changed(waiting: str) -> None:
    found = await verdicts(waiting, *ALL)
    assert sorted(found) == ["n0", "n1", "n2", "p"]
    assert {(one.fate, one.status, one.good) for one in found.values()} == {("fits", "waiting", True)}
    assert set(await verdicts(waiting, *ALL, workflow="pick")) == {"p"}


async def test_each_kind_of_change(waiting: str) -> None:
    @workflow(name="note")
    async def other(item: str) -> str:
        await wait_event("something else")
        return (await receive("notes", str)).data

    found = await verdicts(waiting, other)
    stuck = found.pop("n0")
    assert (stuck.fate, stuck.good, stuck.event, stuck.workflow, stuck.run) == ("stuck", False, 2, "note", 1)
    assert (stuck.step, stuck.code) == ("#1 activity 'reserve'", "#1 event 'something else'")
    assert stuck.where is not None
    assert f"{__file__}:" in stuck.where
    assert {id: one.fate for id, one in found.items()} == {"n1": "stuck", "n2": "stuck", "p": "unknown"}
    assert found["p"].good

    @workflow(name="note")
    async def broken(item: str) -> str:
        await orders.reserve(item)
        raise ZeroDivisionError("oops")

    fails = (await verdicts(waiting, broken))["n1"]
    assert (fails.fate, fails.good) == ("fails", False)
    assert fails.error == "today's code raises after event 2: ZeroDivisionError: oops"

    @workflow(name="note")
    async def pickier(item: int) -> str:
        return "x"

    refuses = (await verdicts(waiting, pickier))["n1"]
    assert (refuses.fate, refuses.event) == ("stuck", 1)
    assert "does not accept them" in str(refuses.code)

    @workflow(name="note")
    async def shorter(item: str) -> str:
        await orders.reserve(item)
        return "no note"

    assert (await verdicts(waiting, shorter))["n1"].fate == "fits"


async def test_code_that_blocks_is_left_behind(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> None:
    async def patient(workflow: Workflow[..., Any], stored: Stored, patience: float) -> Verdict:
        return await tried(workflow, stored, patience if workflow is blocking else 60)

    tried = verification._try
    monkeypatch.setattr(verification, "_try", patient)
    released = threading.Event()
    entered = []

    @workflow(name="note")
    async def blocking(item: str) -> str:
        await orders.reserve(item)
        entered.append(item)
        released.wait()
        return "x"

    try:
        async with App("memory://", workflows=ALL) as app:
            ids = [f"n{number}" for number in range(6)]
            for id in ids:
                await app.start(orders.note.options(id=id), id)
            await app.start(orders.pick.options(id="p"), "desk")
            await settled(app, "p", *ids)
            known, app._workflows = app._workflows, {"note": blocking, "pick": orders.pick}
            found = {one.instance_id: one async for one in app.verify(patience=0.05)}
            app._workflows = known
        assert {id: one.fate for id, one in found.items()} == {**dict.fromkeys(ids, "blocks"), "p": "fits"}
        with anyio.fail_after(60):
            while len(entered) < 3:
                await anyio.sleep(0.01)
        assert len(entered) == 3, "after that the others are not tried"
        assert sum("not tried" in str(one.error) for one in found.values()) == 3
    finally:
        released.set()


async def test_code_that_does_the_worst(anyio_backend: object) -> None:
    @workflow(name="note")
    async def leaves(item: str) -> str:
        await orders.reserve(item)
        raise SystemExit(3)

    @workflow(name="pick")
    async def clings(item: str) -> str:
        try:
            return (await receive("picked", str)).data
        finally:
            await receive("something else")

    async with App("memory://", workflows=ALL) as app:
        await app.start(orders.note.options(id="n"), "desk")
        await app.start(orders.pick.options(id="p"), "desk")
        await settled(app, "n", "p")
        known, app._workflows = app._workflows, {"note": leaves, "pick": clings}
        found = {one.instance_id: one async for one in app.verify()}
        app._workflows = known
    assert {id: one.fate for id, one in found.items()} == {"n": "fails", "p": "fits"}


async def test_one_that_is_stuck_would_go_on(anyio_backend: object) -> None:
    @workflow(name="note")
    async def other(item: str) -> str:
        return (await receive("notes", str)).data

    url = f"memory://{uuid.uuid4().hex}"
    async with App(url, workflows=ALL) as app:
        handle = await app.start(orders.note.options(id="n"), "desk")
        await settled(app, "n")
    async with App(url, workflows=[other]) as app:
        handle = app.handle("note", "n")
        await handle.send("notes", "x")
        await until(app, "n", lambda info: info.status == "stuck")
    (verdict,) = (await verdicts(url, *ALL)).values()
    assert (verdict.status, verdict.fate) == ("stuck", "fits")
    (verdict,) = (await verdicts(url, other)).values()
    assert (verdict.status, verdict.fate) == ("stuck", "stuck")


async def test_many_are_looked_at_a_page_at_a_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_PAGE", 20)
    async with App(url, workflows=[orders.pick]) as app:
        for number in range(50):
            await app.start(orders.pick.options(id=f"p{number}"), "desk")
        found = [verdict async for verdict in app.verify()]
    assert sorted(one.instance_id for one in found) == sorted(f"p{number}" for number in range(50))


async def test_nothing_is_written(waiting: str) -> None:
    async with App(waiting, workflows=ALL, worker=False) as app:
        before = [await (await app.lookup(id)).history() for id in ("n0", "p")]
        async for _ in app.verify():
            pass
        assert [await (await app.lookup(id)).history() for id in ("n0", "p")] == before


async def test_patience_is_a_duration(anyio_backend: object) -> None:
    async with App("memory://", workflows=ALL) as app:
        with pytest.raises(InvalidInput, match="patience"):
            async for _ in app.verify(patience=-1):
                pass


async def test_unchanged_code_fits_at_whatever_moment(url: str) -> None:
    looked = 0
    async with App(url, workflows=[*ALL, orders.busy, orders.failing]) as app:
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(app.start, orders.busy.options(id=f"b{number}"), number)
        while await app.find(status="running", limit=1) or await app.find(status="waiting", limit=1):
            async for verdict in app.verify(patience=60):
                assert verdict.good, verdict
                problem = (await app.why(verdict.instance_id)).problem
                assert problem in (None, "retrying", "cancel unseen", "overdue")  # the last: where all is slow
                assert all(step.kind and step.began for step in await app.timeline(verdict.instance_id))
                looked += 1
    assert looked > 0
