"""An app for one workflow, on a memory store, in jumping time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import anyio

from perdure.app import App
from perdure.codec import Failure
from perdure.definitions.workflow import Workflow
from perdure.errors import UsageError
from perdure.testing.jumping import JumpingClock, jump
from perdure.testing.memory import MemoryStore
from perdure.worker.settings import Parts

#: All alarms are kept in memory: seconds, a hundred years.
_WINDOW = 3.2e9


class Crashed(Exception):
    """The process of the stage's app died, as it was told to."""


class _NoLuck(Random):
    """Retries are neither early nor late, so that times are the same in every run."""

    def random(self) -> float:
        return 0.5


@asynccontextmanager
async def stage(
    workflow: Workflow[..., Any], store: MemoryStore, clock: JumpingClock, crash: anyio.Event | None = None
) -> AsyncGenerator[App]:
    """The block ends with UsageError when an instance can never go on, with Crashed once `crash` is set."""
    app = App("memory://", workflows=[workflow], drain=0, partitions=1)
    app._make_store = lambda url, service: store
    app._parts = Parts(clock=lambda: clock, window=_WINDOW, luck=_NoLuck)
    trouble: list[Exception] = []
    async with app:
        worker = app._resources().worker
        assert worker is not None
        with anyio.CancelScope() as body:

            def nothing_left() -> None:
                for row in store.database.instances.values():
                    if row.ended_at is None and not trouble:
                        trouble.append(_never_ends(row.workflow, row.status, row.error))
                        body.cancel()

            async def die(crash: anyio.Event) -> None:
                await crash.wait()
                trouble.append(Crashed())
                body.cancel()
                worker.die()

            async with anyio.create_task_group() as group:
                group.start_soon(jump, worker, clock, nothing_left)
                if crash is not None:
                    group.start_soon(die, crash)
                try:
                    yield app
                except Exception as error:  # comes out by itself, not in the task group's ExceptionGroup
                    trouble.append(error)
                group.cancel_scope.cancel()
    if trouble:
        raise trouble[0]


def _never_ends(workflow: str, status: str, error: str | None) -> UsageError:
    if status == "stuck" and error is not None:
        return UsageError(f"workflow {workflow!r} is stuck: {Failure.from_json(error).message}")
    return UsageError(
        f"workflow {workflow!r} waits for something that never comes: it has not ended, and there is no activity, "
        "sleep or timeout left that could move it"
    )
