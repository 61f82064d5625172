"""What an activity may do with the runtime's own transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Session(Protocol):
    """The transaction that an activity's result is recorded in. Placeholders are the driver's own."""

    @property
    def connection(self) -> Any:
        """The driver's connection. The transaction is ended by perdure: neither commit nor roll it back."""
        ...

    async def execute(self, sql: str, /, *args: Any) -> int:
        """Run a statement; how many rows it affected. Raises what the driver raises."""
        ...

    async def fetch(self, sql: str, /, *args: Any) -> list[Mapping[str, Any]]:
        """Run a query; its rows, by column name. Raises what the driver raises."""
        ...

    def after_commit(self, fn: Callable[[], Any], /) -> None:
        """Call `fn` (a plain function, or an async one) once this transaction is committed, and never if it is not.

        It is called at most once: should the process die between the two, it is not called. What it raises is logged.
        """
        ...
