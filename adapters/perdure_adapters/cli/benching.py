"""What `perdure bench` runs, and how it tidies up."""

from __future__ import annotations

import signal
import time
import uuid
from typing import Any

import anyio
import click
from anyio.abc import TaskStatus

from perdure import App, StoreError, activity, workflow
from perdure.checks import store_type
from perdure_adapters.cli.progress import Progress

#: Rows of each table in one transaction of the tidying up: a worker of somebody's may wait for it.
_BATCH = 2000


@activity(name="bench-step")
async def work(number: int) -> int:
    """As small as can be: what is measured is the recording."""
    return number + 1


@workflow(name="bench")
async def many(steps: int) -> int:
    number = 0
    for _ in range(steps):
        number = await work(number)
    return number


def measure(url: str, *, instances: int, steps: int, starts: int, backend: str) -> dict[str, Any] | None:
    """The figures; None when it was interrupted. Nothing is left in the database."""
    return anyio.run(_measure, url, instances, steps, starts, backend=backend)


async def _measure(url: str, instances: int, steps: int, starts: int) -> dict[str, Any] | None:
    service = f"bench-{uuid.uuid4().hex}"
    app = App(url, workflows=[many], service=service, auto_migrate=False, drain=0)
    found: dict[str, Any] | None = None
    opened = False
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as measuring:
            await group.start(_heed_signals, measuring)
            try:
                with Progress() as progress:
                    async with app:
                        opened = True
                        found = await _run(app, progress, instances, steps, starts)
            finally:
                with anyio.CancelScope(shield=True):
                    try:
                        await _erase(url, service)
                    except StoreError as error:
                        if opened:  # else what has been raised says it all
                            left = f"rows of service {service!r} are left in the database: {error}"
                            raise StoreError(f"{left}, and delete them by hand") from error
        group.cancel_scope.cancel()
    return found


async def _heed_signals(measuring: anyio.CancelScope, *, task_status: TaskStatus[None]) -> None:
    """Ctrl-C ends the measuring, and nothing keeps the tidying up from its end."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            click.echo("tidying up the database", err=True)
            measuring.cancel()


async def _run(app: App, progress: Progress, instances: int, steps: int, starts: int) -> dict[str, Any]:
    await (await app.start(many, 1)).result()  # everything is loaded, and connections are open
    latencies = []
    for number in range(starts):
        progress.tell(f"start to result: {number} of {starts}")
        begun = time.perf_counter()
        await (await app.start(many, 1)).result()
        latencies.append(time.perf_counter() - begun)
    latencies.sort()
    progress.tell(f"{instances} instances of {steps} steps at once")
    begun = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(instances):
            group.start_soon(_one, app, steps)
    took = time.perf_counter() - begun
    return {
        "steps_per_second": round(instances * steps / took),
        "instances_per_second": round(instances / took, 1),
        "start_to_result_ms_median": round(_at(latencies, 0.5), 2),
        "start_to_result_ms_p99": round(_at(latencies, 0.99), 2),
        "instances": instances,
        "steps": steps,
        "starts": starts,
    }


async def _one(app: App, steps: int) -> None:
    await (await app.start(many, steps)).result()


def _at(values: list[float], share: float) -> float:
    return 1000 * values[min(int(share * len(values)), len(values) - 1)]


async def _erase(url: str, service: str) -> None:
    store = store_type(url)(url, service)
    await store.open(migrate=False)
    try:
        while await store.erase(_BATCH):
            await anyio.lowlevel.checkpoint()
    finally:
        await store.close()
