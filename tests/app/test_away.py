"""The database is away for one commit."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pytest

from perdure import App, StoreUnavailable, workflow
from perdure.ports import Outcome, Unit
from perdure.testing.memory import MemoryStore


@workflow
async def seven() -> int:
    return 7


class Away(MemoryStore):
    """Refuses the first start."""

    refused = False

    async def commit(
        self, units: Sequence[Unit], commit_id: int, *, again: bool = False, wait: bool = True
    ) -> Sequence[Outcome]:
        if not self.refused:
            self.refused = True
            raise StoreUnavailable("not just now")
        return await super().commit(units, commit_id, again=again, wait=wait)


async def test_what_comes_while_it_waits_has_not_failed() -> None:
    app = App(f"memory://{uuid.uuid4().hex}", workflows=[seven])
    app._make_store = Away
    async with app:
        with pytest.raises(StoreUnavailable):
            await app.start(seven)
        assert await (await app.start(seven)).result(timeout=60) == 7
