"""A client that keeps a number of instances going, and checks how each ends."""

from __future__ import annotations

import time
from collections import Counter
from random import Random

import anyio

from chaos import jobs, messengers, scenes, workflows
from chaos.feeds import Feed
from chaos.jobs import Job
from perdure import App, InstanceEnded, StoreUnavailable, WorkflowFailed
from simulation import programs

#: Seconds that an accepted instance may take to end once the faults are over.
_PATIENCE = 60.0


class Load:
    """`width` instances at a time, as long as there are faults. `wrong` says which did not end as predicted."""

    def __init__(self, url: str, chance: Random, width: int) -> None:
        self.app = App(url, workflows=[workflows, messengers, programs.program], worker=False)
        self.accepted: dict[str, Job] = {}
        self.wrong: list[str] = []
        self.unavailable: Counter[str] = Counter()  # calls that were refused, and repeated
        self._chance = chance
        self._width = width
        self._number = 0
        self._over: float | None = None

    async def run(self) -> None:
        """Until `stop`, and until all have ended or are overdue. The app is open."""
        async with anyio.create_task_group() as group:
            for _ in range(self._width):
                group.start_soon(self._lane)

    def stop(self) -> None:
        self._over = time.monotonic()

    def _overdue(self) -> bool:
        return self._over is not None and time.monotonic() > self._over + _PATIENCE

    async def _lane(self) -> None:
        while self._over is None:
            self._number += 1
            make = self._chance.choice((jobs.make, scenes.make))
            job = make(self._chance, f"j{self._number}")
            if await self._start(job):
                for feed in job.feeds:
                    await self._feed(job, feed)
                await self._end(job)

    async def _start(self, job: Job) -> bool:
        """Whether it was accepted. Asking again under one id is safe: that is what ids are for."""
        while not self._overdue():
            try:
                await self.app.start(job.workflow.options(id=job.id), *job.arguments)
            except StoreUnavailable:
                self.unavailable["start"] += 1
                await anyio.sleep(0.05)
            else:
                self.accepted[job.id] = job
                return True
        self.wrong.append(f"{job.id}: nobody ever accepted it")
        return False

    async def _feed(self, job: Job, feed: Feed) -> None:
        """Until it is accepted. What has ended meanwhile had it: its end tells whether it is the right one."""
        handle = self.app.handle(job.workflow, job.id)
        refused = False
        while not self._overdue():
            try:
                answer = await feed.perform(self.app, handle)
            except StoreUnavailable:
                self.unavailable[feed.kind] += 1
                refused = True
                await anyio.sleep(0.05)
            except InstanceEnded:
                if not refused:
                    self.wrong.append(f"{job.id} has ended before {feed}")
                break
            except TimeoutError:
                self.wrong.append(f"{job.id} does not answer {feed}")
                break
            else:
                if answer != feed.answer:
                    self.wrong.append(f"{job.id} answers {answer} to {feed}")
                break
        else:
            self.wrong.append(f"{job.id}: nobody ever accepted {feed}")

    async def _end(self, job: Job) -> None:
        handle = self.app.handle(job.workflow, job.id)
        while not self._overdue():
            try:
                end = "result", await handle.result(timeout=5)
            except WorkflowFailed as error:
                end = "failure", repr(error.error)
            except TimeoutError:
                continue
            except StoreUnavailable:
                self.unavailable["result"] += 1
                await anyio.sleep(0.05)
                continue
            if end != job.end:
                self.wrong.append(f"{job.id} ({job.workflow.name}) ended with {end}, not with {job.end}")
            return
        self.wrong.append(f"{job.id} ({job.workflow.name}) was accepted and has no end: {await handle.info()}")
