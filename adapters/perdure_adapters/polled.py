"""A store that finds out by looking what other processes did, where nobody tells it."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.ports import Census, Holding
from perdure_adapters.bridge import Bridge
from perdure_adapters.facade import Facade
from perdure_adapters.news import News
from perdure_adapters.polling import Poller


class Polled(Facade):
    """What there is to look for follows from the calls. Without `_news`, nothing is looked for."""

    _bridge: Bridge | None = None
    _news: News | None = None
    _poller: Poller | None = None

    async def listen(self, instance_id: str) -> None:
        if self._news is not None:
            self._news.listen(instance_id)
            await self._poke()

    def unlisten(self, instance_id: str) -> None:
        if self._news is not None:
            self._news.unlisten(instance_id)

    async def _poke(self) -> None:
        async def poke() -> None:
            if self._poller is not None:
                self._poller.poke()

        if self._bridge is not None:
            await self._bridge.call(poke)

    # Membership, from which follows what there is to look for.

    async def join(self, worker: str, workflows: Sequence[str], lease: int) -> Census:
        census = await super().join(worker, workflows, lease)
        if self._news is not None:
            self._news.joined(worker, census)
            await self._poke()
        return census

    async def census(self) -> Census:
        census = await super().census()
        if self._news is not None:
            self._news.counted(census)
        return census

    async def renew(self, worker: str, lease: int) -> Census | None:
        census = await super().renew(worker, lease)
        if self._news is not None and census is not None:
            self._news.counted(census)
        return census

    async def claim(self, worker: str, holdings: Sequence[Holding]) -> Sequence[Holding]:
        gained = await super().claim(worker, holdings)
        if self._news is not None:
            self._news.gained(gained)
        return gained

    async def release(self, worker: str, holdings: Sequence[Holding]) -> None:
        if self._news is not None:
            self._news.released(holdings)
        await super().release(worker, holdings)

    async def leave(self, worker: str) -> None:
        if self._news is not None:
            self._news.left()
        await super().leave(worker)
