"""What a postgresql:// URL asks for."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from attrs import frozen

from perdure.errors import UsageError

#: The statements are few and each finds its rows by an index: planning one takes longer than running it, and a
#: plan that was made while the tables were empty must not read them whole for ever.
_PLANNING = {
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
#: Settings of perdure's own connections. Short lock waits: a stranger's lock must not stall everybody.
_SETTINGS = {
    "application_name": "perdure",
    **_PLANNING,
    "lock_timeout": "250ms",
    "idle_in_transaction_session_timeout": "5s",
    "timezone": "UTC",
}


#: The end of a host: with a port that is a number, or without one.
_PORT = re.compile(r"^(\[[^\]]*\]|[^:]*)(:\d+)?$")


@frozen
class Target:
    """`dsn` is for the driver. `pooled`: there is a transaction pooler in between, such as PgBouncer,
    which keeps no session: no prepared statements, no settings and no LISTEN.
    """

    dsn: str
    pooled: bool
    connections: int
    sessions: int

    @property
    def place(self) -> str:
        """For messages: without the password."""
        parts = urlsplit(self.dsn)
        host = parts.netloc.rpartition("@")[2] or "the local socket"
        return f"{parts.path.lstrip('/') or 'the default database'} on {host}"


def parse(url: str) -> Target:
    """Raises UsageError for options that make no sense."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    user, _, hosts = parts.netloc.rpartition("@")
    if "@" in user or "@" in parts.path or not all(_PORT.search(host) for host in hosts.split(",")):
        raise UsageError(
            "the database URL is not to be understood; percent-encode what means something in a URL (an @ in the "
            "password is %40, a slash %2F), and give ports as numbers: postgresql://user:password@host:5432/database"
        )
    if not parts.path.strip("/") and not {"database", "dbname"} & set(options):
        raise UsageError("the database URL names no database; give postgresql://user:password@host:5432/database")
    cache = _number(options.pop("statement_cache_size", "100"), "statement_cache_size", 0)
    connections = _number(options.pop("max_connections", "6"), "max_connections", 3)
    sessions = _number(options.pop("session_connections", "10"), "session_connections", 1)
    dsn = urlunsplit(parts._replace(scheme="postgresql", query=urlencode(options)))
    return Target(dsn, cache == 0, connections, sessions)


def _number(text: str, name: str, least: int) -> int:
    if not text.isdigit() or int(text) < least:
        raise UsageError(f"?{name}={text} in the database URL: give a whole number, {least} or more")
    return int(text)


def settings(*, local: bool) -> str:
    """SQL that sets them, for a session; or for one transaction, where sessions keep none.

    (Sent when a session begins, they would be refused by a PgBouncer in between.)
    """
    return "; ".join(f"set {'local ' if local else ''}{name} = '{value}'" for name, value in _SETTINGS.items())


#: From the user's statements in a transaction to perdure's: his deferred constraints are checked, and until the
#: transaction ends nothing is left of what he may have set. In nobody's way, it may wait longer for a lock.
HANDOVER = "; ".join(
    (
        "set constraints all immediate",
        "set local role none",
        "set local search_path to default",
        "set local lock_timeout = '2s'",
        *(f"set local {name} = '{value}'" for name, value in _PLANNING.items()),
    )
)
