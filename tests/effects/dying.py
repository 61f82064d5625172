"""python -m effects.dying URL BACKEND MOMENT: works until done, or dies at a moment of its own choice.

The moments are counted: between any two statements of a transactional step, and around its commit.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import anyio

from effects.rows import insert, mark
from perdure import App, Event, Retry, activity, activity_info, emit, session, workflow
from perdure.ports import Outcome, Unit
from perdure.worker.session import AttemptSession

STEPS = 10
_url = ""
_left = 0


def moment() -> None:
    global _left
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


@activity(retry=Retry(attempts=1000, initial=0.001, max_duration=None))
async def counts(number: int) -> int:
    moment()
    async with session() as db:
        moment()
        await db.execute("update own_count set n = n + 1")
        moment()
        await insert(db, _url, activity_info().idempotency_key)
        moment()
        await emit("counted", number, source="/test", subject="count")
    moment()
    async with session() as db:
        await db.fetch(f"select what from own_rows where what = {mark(_url)}", activity_info().idempotency_key)
    moment()
    return number


@workflow
async def counting() -> int:
    return sum([await counts(number) for number in range(STEPS)])


class Recording:
    """Says what it is given; dies in the moment in which it has been said."""

    async def publish(self, event: Event[Any], /) -> None:
        print(f"published {event.id}", flush=True)
        moment()


async def _commit(self: AttemptSession, unit: Unit) -> Outcome:
    moment()
    outcome = await _original(self, unit)
    moment()
    return outcome


_original = AttemptSession.commit


async def main() -> None:
    AttemptSession.commit = _commit  # type: ignore[method-assign]  # to die around it
    async with App(_url, workflows=[counting], lease=0.6) as app:
        handle = await app.start(counting.options(id="counting"))
        print("result", await handle.result(), flush=True)


async def relay() -> None:
    async with App(_url, workflows=[counting], lease=0.6, publisher=Recording()) as app:
        while len(await app.outbox(status="published", limit=1000)) < STEPS:
            await anyio.sleep(0.01)


if __name__ == "__main__":
    _url, backend, _left = sys.argv[1], sys.argv[2], int(sys.argv[3])
    anyio.run(relay if sys.argv[4:] == ["relay"] else main, backend=backend)
