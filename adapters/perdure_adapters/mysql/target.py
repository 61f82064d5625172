"""What a mysql:// URL asks for."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import field, frozen

from perdure.errors import UsageError

_EXAMPLE = "give mysql://user:password@host:3306/database"


@frozen
class Target:
    """Where to connect, and as whom. `tls` None: without encryption. `session_connections`: how many more may be
    open for activities' own transactions.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    socket: str | None = None
    tls: ssl.SSLContext | None = None
    session_connections: int = 10

    @property
    def place(self) -> str:
        """For messages: without the password."""
        return f"{self.database} on {self.socket or f'{self.host}:{self.port}'}"

    @property
    def arguments(self) -> dict[str, Any]:
        """For the driver."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            # The driver would encode it as Latin-1; servers compare UTF-8.
            "password": self.password.encode().decode("latin-1"),
            "db": self.database,
            "unix_socket": self.socket,
            "ssl": self.tls,
        }


def parse(url: str) -> Target:
    """Raises UsageError for what makes no sense; its text never holds the password."""
    parts = urlsplit(url)
    try:
        port = parts.port or 3306
    except ValueError:
        raise UsageError(f"the database URL has no usable port; {_EXAMPLE}") from None
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database:
        raise UsageError(f"the database URL names no database; {_EXAMPLE}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    host = parts.hostname or "127.0.0.1"
    target = Target(
        host=host,
        port=port,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        database=database,
        socket=options.pop("socket", None),
        tls=_tls(options.pop("ssl", "false"), options.pop("ssl_ca", None)),
        session_connections=_count(options.pop("session_connections", "10")),
    )
    if options:
        raise UsageError(
            f"the database URL has an unknown option {sorted(options)[0]!r}; there are ssl, ssl_ca, socket and "
            "session_connections"
        )
    return target


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"?session_connections={text} in the database URL: give a whole number from 1")
    return int(text)


def _tls(wanted: str, ca: str | None) -> ssl.SSLContext | None:
    """`ssl=true` checks the server's certificate, against `ssl_ca` if given; `unverified` only encrypts."""
    if wanted not in ("true", "false", "unverified"):
        raise UsageError(f"?ssl={wanted} in the database URL: give true, false or unverified")
    if wanted == "false" and ca is None:
        return None
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(f"?ssl_ca={ca} in the database URL: {error}; give a file of PEM certificates") from None
    if wanted == "unverified":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
