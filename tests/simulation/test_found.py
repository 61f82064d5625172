"""Bugs that the simulation found in perdure itself, planted again: it still finds them.

Those that take many more worlds have tests of their own: a start in doubt (tests/app/test_outages), a
retry that comes due in a turn (tests/app/test_projection), a late state (the contract of stores).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

import perdure.testing.simulation.database as database_module
import perdure.worker.worker as worker_module
from perdure.testing.memory import MemoryStore
from perdure.testing.simulation.faults import schedule
from perdure.worker.inbox import Inbox
from simulation.worlds import trouble


def a_request_is_deleted_by_who_has_lost_its_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unfenced(MemoryStore):
        async def dismiss(self, request_ids: Sequence[int], epochs: Mapping[int, int]) -> None:
            for request in request_ids:
                self.database.inbox.pop(request, None)

    class Blind(Inbox):
        async def _read(self) -> None:
            while held := self._epochs():
                page = await self._store.requests(list(held), 500, 0)
                plain = [request.id for request in page if self._take(request)]
                if plain:
                    await self._store.dismiss(plain, held)
                return

    monkeypatch.setattr(database_module, "MemoryStore", Unfenced)
    monkeypatch.setattr(worker_module, "Inbox", Blind)


FOUND: list[tuple[Callable[[pytest.MonkeyPatch], None], int]] = [
    (a_request_is_deleted_by_who_has_lost_its_partition, 1990),
]


@pytest.mark.parametrize(("plant", "first"), FOUND, ids=lambda plant: getattr(plant, "__name__", ""))
def test_it_is_found_again(plant: Any, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    for seed in range(first, first + 50):
        what = trouble(seed, schedule(seed, 3, 2.0))
        if what is not None:
            print(f"{plant.__name__}: seed {seed}: {what}")
            return
    pytest.fail("not found")
