"""What every store keeps, as tests. Subclass `StoreContract` and give it two fixtures.

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def database(self, tmp_path):
            yield lambda service="default": MyStore(f"my://{tmp_path}", service)

        @pytest.fixture
        def notes(self, tmp_path):
            return SQLNotes("notes", lambda number: "?", partial(query, tmp_path), MyError)

`database` makes stores that see one fresh database, each as another process would. `notes` is a table in it that is
not perdure's: run the statements of `SQLNotes.create` before, and of `drop` afterwards where others go on with the
database. The tests run under every backend that the `anyio_backend` fixture offers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from perdure.ports import Store
from perdure.testing.contract.arrivals import Arrivals
from perdure.testing.contract.asking import Asking
from perdure.testing.contract.channels import Channels
from perdure.testing.contract.cleaning import Cleaning
from perdure.testing.contract.compensating import Compensating
from perdure.testing.contract.letters import Letters
from perdure.testing.contract.looking import Looking
from perdure.testing.contract.losing import Losing
from perdure.testing.contract.mailboxes import Mailboxes
from perdure.testing.contract.mailing import Mailing
from perdure.testing.contract.membership import Membership
from perdure.testing.contract.notes import MappedNotes, Notes, SQLNotes
from perdure.testing.contract.outbox import Outbox
from perdure.testing.contract.overlapping import Overlapping
from perdure.testing.contract.queues import Queues
from perdure.testing.contract.streams import Streams
from perdure.testing.contract.transactions import Transactions
from perdure.testing.contract.units import Database, Opening

__all__ = ["Database", "MappedNotes", "Notes", "SQLNotes", "StoreContract"]


class StoreContract(
    Streams,
    Losing,
    Asking,
    Compensating,
    Looking,
    Membership,
    Mailing,
    Mailboxes,
    Channels,
    Queues,
    Arrivals,
    Outbox,
    Letters,
    Transactions,
    Overlapping,
    Cleaning,
):
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
