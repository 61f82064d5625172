"""Whether a database's schema is up to date."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from perdure.errors import StoreError


def require_none(pending: Sequence[str], place: str) -> None:
    """Raises StoreError where migrations are pending."""
    if pending:
        raise StoreError(
            f"the database {place} lacks the migrations {', '.join(pending)}; run `perdure migrate`, or use "
            "App(auto_migrate=True)"
        )


async def bring_up_to_date(connection: Any, migrations: ModuleType, place: str, migrate: bool) -> None:
    """With the `pending` and `migrate` of a store's migrations. Without `migrate`, or in vain: StoreError."""
    if migrate:
        await migrations.migrate(connection)
    require_none(await migrations.pending(connection), place)
