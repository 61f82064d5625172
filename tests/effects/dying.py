"""python -m effects.dying URL BACKEND: for each line of input, a process that works until done, or stops in the middle.

A line is: what it does (`work` or `relay`), the signal that it sends itself, and at which moment. The moments are
counted: between any two statements of a transactional step, and around its commit. How it ended is said after it.
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
from perdure.worker import sessions
from perdure.worker.session import AttemptSession
from perdure_adapters.mysql import finishing
from perdure_adapters.postgresql import sessions as postgresql

STEPS = 10
#: The moment in which the second step has written its rows, and not committed them.
IN_THE_MIDDLE = 12
#: Nobody loses it by being slow: who takes over need not wait for its end.
LEASE = 600
_url = ""
_signal = signal.SIGKILL
_left = 0


def moment() -> None:
    global _left
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), _signal)


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
    async with App(_url, workflows=[counting], lease=LEASE) as app:
        handle = await app.start(counting.options(id="counting"))
        print("result", await handle.result(), flush=True)


async def relay() -> None:
    async with App(_url, workflows=[counting], lease=LEASE, publisher=Recording()) as app:
        while len(await app.outbox(status="published", limit=1000)) < STEPS:
            await anyio.sleep(0.01)


if __name__ == "__main__":
    _url, backend = sys.argv[1:]
    # Another waits for the locks of one that is stopped until the server ends its session.
    sessions._IDLE = finishing._SHORTEST = postgresql.PATIENCE = 4
    for line in sys.stdin:
        what, number, moments = line.split()
        _signal, _left = signal.Signals(int(number)), int(moments)
        child = os.fork()
        if not child:
            anyio.run(relay if what == "relay" else main, backend=backend)
            os._exit(0)
        print("pid", child, flush=True)
        print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
