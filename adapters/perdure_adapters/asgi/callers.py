"""Who may call."""

from __future__ import annotations

import inspect
from ipaddress import IPv6Address, ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from perdure_adapters.asgi.problem import Problem

_CLOSED = (
    "no authentication is set up here, so only callers on the same machine are answered; its operator can give "
    "ingress(authenticate=...), or insecure=True where something before it keeps strangers out"
)
#: What proxies put in: behind one, everybody seems to be on this machine.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_SAFE = ("GET", "HEAD")


class Authenticator(Protocol):
    """The caller's name, or None: 401. Raises PermissionError: 403.

    An authenticator may also have `async verify(scope, body) -> bool`, which is asked once the body is there (b"" for
    requests without one; False: 401), `challenge`, the text of WWW-Authenticate ("Bearer" without it), and `scheme`,
    its security scheme in OpenAPI (likewise).
    """

    async def __call__(self, scope: Scope, /) -> str | None: ...


class Callers:
    """Raises Problem 401 or 403 for those that are not let in."""

    def __init__(self, authenticate: Authenticator | None, insecure: bool) -> None:
        self._authenticate = authenticate
        self._verify: Any = getattr(authenticate, "verify", None)
        self._challenge: str = getattr(authenticate, "challenge", "Bearer")
        self._insecure = insecure

    @property
    def scheme(self) -> dict[str, Any] | None:
        """How callers say who they are, as OpenAPI has it; None where they need not."""
        if self._authenticate is None:
            return None
        return getattr(self._authenticate, "scheme", {"type": "http", "scheme": "bearer"})

    async def admit(self, scope: Scope, headers: Headers) -> None:
        """By the head of the request alone."""
        if scope["method"] not in _SAFE:
            same_origin(headers)
        if self._authenticate is None:
            if not self._insecure:
                from_here(scope, headers, _CLOSED)
            return
        try:
            name = await self._authenticate(scope)
        except PermissionError:
            raise Problem(403, "this caller is known, and may not do this; ask the operator for the right") from None
        if not isinstance(name, str) or not name:  # True, say, is nobody's name
            raise self._unknown()

    async def vouch(self, scope: Scope, body: bytes) -> None:
        """For the body."""
        if self._verify is None:
            return
        try:
            verdict = self._verify(scope, body)
            genuine = await verdict if inspect.isawaitable(verdict) else verdict
        except PermissionError:
            raise Problem(403, "this caller is known, and may not do this; ask the operator for the right") from None
        if genuine is not True:
            raise self._unknown()

    def _unknown(self) -> Problem:
        detail = "the credentials are missing, or not right, or out of date; send valid ones"
        return Problem(401, detail, {"www-authenticate": self._challenge})


def same_origin(headers: Headers) -> None:
    """A page in somebody's browser must not change anything here, whatever that browser may send along.

    Raises Problem 403.
    """
    site = headers.get("sec-fetch-site")
    if site in ("same-origin", "none"):
        return
    origin = headers.get("origin")
    if site is None and (origin is None or (_host(origin) and _host(origin) == headers.get("host"))):
        return
    raise Problem(403, "this comes from a page of another site; call from a program instead")


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def from_here(scope: Scope, headers: Headers, closed: str) -> None:
    """Raises Problem 403, saying `closed`, unless the connection has come to this machine's own address, and directly.

    `server` is the socket's address, which nobody can choose; the host header is what a browser believes to talk to,
    so that a page cannot get in by a name of its own that leads here.
    """
    server = scope.get("server")
    if server is None:
        local = scope.get("client") is None  # so is a Unix socket's, with some servers
    else:
        address, port = server
        local = port is None or _loopback(address)
    if not local or not _named_local(headers.get("host", "")) or any(name in headers for name in _FORWARDED):
        raise Problem(403, closed)


def _loopback(text: str) -> bool:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _named_local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or name.endswith(".localhost") or _loopback(name)
