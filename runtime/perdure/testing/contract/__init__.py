"""What every store keeps, as tests. Subclass `StoreContract` and give it a `database` fixture.

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def database(self, tmp_path):
            yield lambda service="default": MyStore(f"my://{tmp_path}", service)

`database` makes stores that see one fresh database, each as another process would. The tests run
under every backend that the `anyio_backend` fixture offers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from perdure.ports import Store
from perdure.testing.contract.asking import Asking
from perdure.testing.contract.looking import Looking
from perdure.testing.contract.losing import Losing
from perdure.testing.contract.membership import Membership
from perdure.testing.contract.streams import Streams
from perdure.testing.contract.units import Database, Opening

__all__ = ["Database", "StoreContract"]


class StoreContract(Streams, Losing, Asking, Looking, Membership):
    """Subclass it; see the module's docstring."""

    @pytest.fixture
    def opened(self, database: Database) -> Opening:
        @asynccontextmanager
        async def opened(service: str = "default") -> AsyncIterator[Store]:
            store = database(service)
            await store.open(migrate=True)
            try:
                yield store
            finally:
                await store.close()

        return opened
