"""MySQL 8.0 or newer, and MariaDB 10.6 or newer."""

from perdure_adapters.mysql.store import MySQLStore

__all__ = ["MySQLStore"]
