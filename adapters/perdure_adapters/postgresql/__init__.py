"""PostgreSQL: any number of processes, on any number of machines."""

from perdure_adapters.postgresql.store import PostgreSQLStore

__all__ = ["PostgreSQLStore"]
