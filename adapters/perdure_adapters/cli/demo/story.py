"""The plot: orders come in, a worker is killed twice, and every step gets done once."""

from __future__ import annotations

from random import Random
from typing import Protocol

import anyio
from anyio import current_time
from attrs import define, field

from perdure import App
from perdure_adapters.cli.demo.account import Account, settle
from perdure_adapters.cli.demo.crew import Crew
from perdure_adapters.cli.demo.effects import EffectsReader
from perdure_adapters.cli.demo.orders import sample_orders
from perdure_adapters.cli.demo.place import Place
from perdure_adapters.cli.demo.progress import News, Progress
from perdure_adapters.cli.demo.workflow import Order, fulfil

#: Seconds between looks at the database.
_LOOK = 0.05
#: Seconds without any news after which the orders left are given up as lost.
_PATIENCE = 30.0


class View(Protocol):
    """Shows what happens. `at` is in seconds since the beginning; `worker` counts from 1."""

    def says(self, at: float, text: str) -> None: ...

    def step(self, at: float, news: News, worker: int) -> None: ...

    def refresh(self, at: float, progress: Progress) -> None: ...


@define
class Story:
    """One run of the demo. `kills` are the numbers of recorded steps at which the worker dies."""

    place: Place
    crew: Crew
    view: View
    orders: list[Order]
    kills: list[int]
    progress: Progress = field(init=False)
    _reader: EffectsReader = field(init=False)
    _began: float = field(default=0.0, init=False)
    _killed: int = field(default=0, init=False)
    _killed_at: float | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.progress = Progress.of(self.orders)
        self._reader = EffectsReader(self.place.effects)

    @classmethod
    def plan(cls, place: Place, crew: Crew, view: View, orders: int) -> Story:
        """The kills come after about a third and two thirds of the steps; the seed says when exactly."""
        samples = sample_orders(orders, place.seed)
        steps = sum(len(order.steps) for order in samples)
        chance = Random(place.seed)
        slack = steps // 20
        kills = [max(1, steps * third // 3 + chance.randint(-slack, slack)) for third in (1, 2)]
        return cls(place, crew, view, samples, kills)

    async def tell(self) -> Account:
        self._began = current_time()
        async with self.place.app().client() as client:
            self._hire()
            for order in self.orders:
                await client.start(fulfil.options(id=order.id), order)
            accepted = "1 order" if len(self.orders) == 1 else f"{len(self.orders)} orders"
            self._say(f"{accepted} accepted, with {self.progress.steps} steps to do")
            await self._watch(client)
            histories = {order.id: await client.handle(fulfil, order.id).history() for order in self.orders}
        await anyio.to_thread.run_sync(self.crew.dismiss, 3.0)
        return settle(self.orders, histories, EffectsReader(self.place.effects).news(), self._killed)

    async def _watch(self, client: App) -> None:
        last_news = current_time()
        while self.progress.unfinished:
            await anyio.sleep(_LOOK)
            if await self._look(client):
                last_news = current_time()
            if self.kills and self.progress.done >= self.kills[0] and self.progress.running:
                await self._kill(client)
                self._hire()
            elif self.crew.died:
                self._say(f"worker {self.crew.number} ended by itself: {self.crew.last_words()}")
                return
            elif current_time() - last_news > _PATIENCE:
                self._say(f"nothing has happened for {_PATIENCE:g} s; the rest is lost")
                return

    async def _look(self, client: App) -> bool:
        """Whether there is anything new."""
        at = self._at()
        effects = self._reader.news()
        self.progress.happened(effects)
        if self._killed_at is not None and any(effect.worker == self.crew.pid for effect in effects):
            pause = at - self._killed_at
            self._say(f"worker {self.crew.number} has taken over, {pause:.1f} s after the kill")
            self._killed_at = None
        heard = bool(effects)
        for one in self.progress.unfinished:
            for news in self.progress.recorded(one.order.id, await client.handle(fulfil, one.order.id).history()):
                self.view.step(at, news, self.crew.number_of(news.worker))
                heard = True
        self.view.refresh(at, self.progress)
        return heard

    async def _kill(self, client: App) -> None:
        self.kills.pop(0)
        self.crew.kill()
        self._killed += 1
        await self._look(client)  # it may have recorded something in its last moment
        self._killed_at = self._at()
        done = f"{self.progress.done} of {self.progress.steps} steps done"
        self._say(f"worker {self.crew.number} killed (SIGKILL): {done}, {self.progress.killed()} cut off")

    def _hire(self) -> None:
        pid = self.crew.hire()
        self._say(f"worker {self.crew.number} started, process {pid}")

    def _say(self, text: str) -> None:
        self.view.says(self._at(), text)

    def _at(self) -> float:
        return current_time() - self._began
