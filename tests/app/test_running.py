"""Starting, waiting, asking: what an application sees."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from app.clocks import Passing
from perdure import (
    App,
    Conflict,
    DuplicateDefinition,
    InstanceNotFound,
    InvalidInput,
    NotDurableWarning,
    StoreError,
    UnknownWorkflow,
    UsageError,
    Workflow,
    WorkflowFailed,
    activity,
    gather,
    info,
    patched,
    sleep,
    workflow,
)


@activity
async def double(number: int) -> int:
    return 2 * number


@activity
def triple(number: int) -> int:
    return 3 * number


@workflow
async def sums(number: int) -> int:
    first, second = await gather(double(number), triple(number))
    return first + second


@workflow
async def naps(seconds: float) -> str:
    await sleep(seconds)
    return info().instance_id


@workflow
async def breaks() -> None:
    raise LookupError("nothing here")


async def test_a_workflow_runs_and_answers(url: str) -> None:
    async with App(url, workflows=[sums]) as app:
        handle = await app.start(sums, 7)
        assert await handle.result(timeout=60) == 35
        seen = await handle.info()
        assert (seen.instance_id, seen.workflow, seen.status, seen.run) == (handle.id, "sums", "completed", 1)
        kinds = [event.kind for event in await handle.history()]
        assert kinds == ["WorkflowStarted", "StepCompleted", "StepCompleted", "WorkflowCompleted"]


async def test_start_never_runs_inline(url: str) -> None:
    tasks: list[int] = []

    @activity
    async def where() -> None:
        tasks.append(anyio.get_current_task().id)

    @workflow
    async def elsewhere() -> None:
        tasks.append(anyio.get_current_task().id)
        await where()

    async with App(url, workflows=[elsewhere]) as app:
        await (await app.start(elsewhere)).result(timeout=60)
    assert len(tasks) == 2
    assert anyio.get_current_task().id not in tasks


async def test_starting_an_id_again_gives_the_same_instance(url: str) -> None:
    async with App(url, workflows=[sums, naps]) as app:
        handles = [await app.start(sums.options(id="one"), number) for number in (1, 2)]
        assert [await handle.result(timeout=60) for handle in handles] == [5, 5]
        with pytest.raises(Conflict, match="sums"):
            await app.start(naps.options(id="one"), 0.0)
        with pytest.raises(Conflict):
            await app.handle(naps, "one").result()


async def test_fifty_concurrent_first_starts(url: str) -> None:
    async with App(url, workflows=[sums]) as app:
        results: list[int] = []

        async def start(number: int) -> None:
            id = "same" if number % 2 else f"own-{number}"
            handle = await app.start(sums.options(id=id), 1)
            results.append(await handle.result(timeout=60))

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(start, number)
        assert results == [5] * 50
        assert len(await app.find(workflow="sums")) == 26


async def test_instances_go_on_where_an_app_left_off(url: str) -> None:
    time = Passing()
    async with time.on(App(url, workflows=[naps])) as app:
        handle = await app.start(naps, 3600.0)
        assert (await handle.info()).status in ("running", "waiting")
    time.hours(1)
    async with time.on(App(url, workflows=[naps])) as app:
        assert await app.handle(naps, handle.id).result(timeout=60) == handle.id


async def test_a_client_starts_and_a_worker_works(url: str) -> None:
    async with App(url, workflows=[sums], worker=False) as client:
        early = await client.start(sums, 1)
        with pytest.raises(TimeoutError):
            await early.result(timeout=0.05)
        async with App(url, workflows=[sums]):
            late = await client.start(sums, 2)
            assert await early.result(timeout=60) == 5
            assert await late.result(timeout=60) == 10


async def test_a_failure_comes_out_with_its_cause(url: str) -> None:
    async with App(url, workflows=[breaks]) as app:
        handle = await app.start(breaks)
        with pytest.raises(WorkflowFailed, match="nothing here") as caught:
            await handle.result(timeout=60)
        assert isinstance(caught.value.error, LookupError)
        assert caught.value.__cause__ is caught.value.error
        seen = await handle.info()
        assert seen.status == "failed"
        assert isinstance(seen.error, LookupError)


async def test_cancelling_the_waiter_does_nothing_to_the_workflow(url: str) -> None:
    time = Passing()
    async with time.on(App(url, workflows=[naps])) as app:
        handle = await app.start(naps, 3600.0)
        with anyio.move_on_after(0.01) as waiting:
            await handle.result()
        assert waiting.cancelled_caught
        time.hours(1)
        assert await handle.result(timeout=60) == handle.id


async def test_bad_input_is_refused_and_nothing_is_stored(url: str) -> None:
    async with App(url, workflows=[sums, naps]) as app:
        for wrong in ("7", 1.5, None, True, 2**70):
            with pytest.raises(InvalidInput, match="number"):
                await app.start(sums, wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput):
            await app.start(naps, float("nan"))
        with pytest.raises(InvalidInput):
            await app.start(sums)  # type: ignore[call-arg]
        with pytest.raises(InvalidInput):
            sums.options(id="")
        assert len(await app.find()) == 0


async def test_what_is_unknown_says_so(url: str) -> None:
    async with App(url, workflows=[sums]) as app:
        with pytest.raises(UnknownWorkflow, match="naps"):
            await app.start(naps, 1.0)
        for ask in (app.handle(sums, "no").result, app.handle(sums, "no").info, app.handle("sums", "no").cancel):
            with pytest.raises(InstanceNotFound, match="no"):
                await ask()
    with pytest.raises(UsageError, match="not open"):
        await app.start(sums, 1)


async def test_an_app_cannot_be_used_inside_a_workflow(url: str) -> None:
    apps: list[App] = []

    @workflow
    async def meddles() -> str:
        said = []
        for use in (lambda: apps[0].start(sums, 1), apps[0].find, apps[0].handle(sums, "a").result):
            try:
                await use()
            except UsageError as error:
                said.append(str(error))
        return " ".join(said)

    async with App(url, workflows=[meddles, sums]) as app:
        apps.append(app)
        said = await (await app.start(meddles)).result(timeout=60)
        assert said.count("inside a workflow") == 3
        assert len(await app.find(workflow="sums")) == 0


async def test_text_that_no_database_takes_harms_nobody(tmp_path: Path) -> None:
    @workflow
    async def names(name: str) -> bool:
        return patched(name)

    async with App(f"sqlite:///{tmp_path}/perdure.db", workflows=[names]) as app:
        for wrong in ("\ud800", "", "x" * 201):
            with pytest.raises((UsageError, InvalidInput, WorkflowFailed)):
                await (await app.start(names, wrong)).result(timeout=60)
        with pytest.raises(StoreError, match="surrogate"):
            await app.find(workflow="\ud800")
        assert await (await app.start(names, "fine")).result(timeout=60) is True


async def test_find_pages_through_instances(url: str) -> None:
    async with App(url, workflows=[sums, breaks]) as app:
        handles = [await app.start(sums, number) for number in range(5)]
        for handle in handles:
            await handle.result(timeout=60)
        found: list[str] = []
        page = await app.find(workflow="sums", status="completed", limit=2)
        while True:
            found += [row.instance_id for row in page]
            if page.cursor is None:
                break
            page = await app.find(workflow="sums", status="completed", limit=2, cursor=page.cursor)
        assert sorted(found) == sorted(handle.id for handle in handles)
        assert [row.instance_id for row in await app.find(input={"number": 3})] == [handles[3].id]
        assert len(await app.find(input={"number": "3"})) == 0


async def test_the_body_s_own_error_comes_out_unwrapped(url: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with App(url, workflows=[naps]) as app:
            await app.start(naps, 30.0)
            raise ZeroDivisionError


async def test_other_settings_than_the_first_worker_s_are_refused(url: str) -> None:
    async with App(url, workflows=[sums], partitions=8):
        with pytest.raises(UsageError, match="partitions=8"):
            async with App(url, workflows=[sums], partitions=16):
                pass
        async with App(url, workflows=[sums], worker=False) as client:
            assert await (await client.start(sums, 1)).result(timeout=60) == 5


async def test_plain_calls_are_for_unit_tests(url: str) -> None:
    assert await double(4) == 8
    plain: object = triple(4)
    assert plain == 12
    async with App(url, workflows=[sums]):
        with pytest.warns(NotDurableWarning, match="app.start"):
            sums(1).close()


def test_definitions_are_checked() -> None:
    @workflow(name="sums")
    async def other() -> None: ...

    def method_like(self: str) -> None: ...

    def plain() -> None: ...

    with pytest.raises(DuplicateDefinition, match="sums"):
        App("memory://", workflows=[sums, other])
    with pytest.raises(UsageError, match="method"):
        activity(method_like)
    with pytest.raises(UsageError, match="async def"):
        workflow(plain)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="nosuch"):
        App("nosuch://", workflows=[sums])
    with pytest.raises(UsageError):
        App("memory://", workflows=[double])  # type: ignore[list-item]
    assert isinstance(sums, Workflow)
