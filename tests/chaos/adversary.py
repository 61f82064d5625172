"""The faults. Each goes on until it is cancelled, and leaves nobody stopped."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from random import Random

import anyio

from chaos.database import Database
from chaos.processes import Crew, Process

#: Seconds in which a worker that was stopped must serve again.
_PATIENCE = 60.0
#: Names the shell command that restarts the PostgreSQL server in the rudest way.
RESTART = "PERDURE_CHAOS_RESTART_POSTGRESQL"


class Adversary:
    """`done` counts the faults; `failures` is what should not have come of them."""

    def __init__(self, crew: Crew, database: Database, chance: Random) -> None:
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self.twins: list[Process] = []
        self._crew = crew
        self._database = database
        self._chance = chance
        self._resumed: list[Process] = []

    async def kills(self) -> None:
        """kill -9 of any worker every second, and a new one in its place."""
        while True:
            await anyio.sleep(self._chance.uniform(0.8, 1.2))
            if len(self._crew.serving) > 1:
                self._chance.choice(self._crew.serving).kill()
                self.done["kills"] += 1
                self._crew.worker()

    async def stops(self) -> None:
        """SIGSTOP for longer than the lease, and SIGCONT: a zombie."""
        while True:
            await anyio.sleep(self._chance.uniform(0.1, 0.8))
            if len(self._crew.serving) > 1:
                zombie = self._chance.choice(self._crew.serving)
                zombie.stop()
                self.done["stops"] += 1
                try:
                    await anyio.sleep(self._crew.lease + self._chance.uniform(0.5, 1.5))
                finally:
                    zombie.resume()
                self._resumed.append(zombie)

    async def cuts(self) -> None:
        """All connections to the database, every 0.3 s. An SQLite file has none to cut."""
        while self._database.scheme != "sqlite":
            await anyio.sleep(0.3)
            self.done["cuts"] += await self._database.cut()

    async def newcomers(self) -> None:
        """One more worker in mid-step; its wall clock is an hour off, unless the file is measured by that."""
        for number in range(3):
            await anyio.sleep(self._chance.uniform(0.5, 1.5))
            offset = 0.0 if self._database.scheme == "sqlite" else (3600.0, -3600.0)[number % 2]
            await self._crew.ready(self._crew.worker(clock_offset=offset))
            self.done["newcomers"] += 1

    async def pairs(self) -> None:
        """Two processes start the same ids at the same moments, with different arguments."""
        begin = time.monotonic() + 2.5  # both are up by then, most of the time
        for number, kind in enumerate(([], ["--client"])):
            given = ["--prefix", "twin", "--times", "40", "--at", str(begin), "--every", "0.05"]
            self.twins.append(self._crew.twin(f"t{number}", *given, "--count", str(3 + number), *kind))
        self.done["pairs"] += 40

    async def rolling(self, most: int) -> None:
        """From one worker to many and back to one, over and over, in an orderly way."""
        while True:
            while len(self._crew.serving) < most:
                await self._crew.ready(self._crew.worker())
                self.done["added"] += 1
            while len(self._crew.serving) > 1:
                leaving = self._chance.choice(self._crew.serving)
                leaving.terminate()
                self.done["removed"] += 1
                if (status := await leaving.ended()) != 0:
                    self.failures.append(f"{leaving.name} ended with {status}; see {leaving.log}")

    async def restarts(self) -> None:
        """The server itself, where a command was named that does it."""
        while RESTART in os.environ and self._database.scheme == "postgresql":
            await anyio.sleep(self._chance.uniform(2.0, 4.0))
            with anyio.CancelScope(shield=True), anyio.fail_after(60):
                await anyio.run_process(os.environ[RESTART], stdout=subprocess.DEVNULL)
            self.done["restarts"] += 1

    async def replacing(self, least: int) -> None:
        """What any supervisor does: workers that could not open their app are started again."""
        while True:
            alive = [worker for worker in self._crew.workers if worker.returncode is None and not worker.told]
            if len(alive) < least:
                await self._crew.ready(self._crew.worker())
            await anyio.sleep(0.1)

    async def recovered(self) -> None:
        """Those that were stopped serve again, unless something else became of them."""
        deadline = time.monotonic() + _PATIENCE
        for zombie in dict.fromkeys(self._resumed):
            while zombie.serving and not (await self._database.owners()).get(zombie.name):
                if time.monotonic() > deadline:
                    self.failures.append(f"{zombie.name} was stopped, goes on, and owns nothing; see {zombie.log}")
                    break
                await anyio.sleep(0.1)
