"""Authentication by a token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.datastructures import Headers
from starlette.types import Scope

from perdure import UsageError

TokenCheck: TypeAlias = Callable[[str], Awaitable[str | None]]


def bearer_token(*tokens: str | TokenCheck) -> BearerToken:
    """For `ingress(authenticate=...)`: a token in `Authorization: Bearer ...`.

    Each of `tokens` is one that is good, or an `async (token) -> name or None`. Several, so that they can be changed
    one after the other. Raises UsageError for a token of fewer than 16 characters.
    """
    return BearerToken(tokens)


class BearerToken:
    challenge = "Bearer"

    def __init__(self, tokens: tuple[str | TokenCheck, ...]) -> None:
        self._known = [token.encode() for token in tokens if isinstance(token, str)]
        self._checks = [token for token in tokens if not isinstance(token, str)]
        if not tokens:
            raise UsageError("bearer_token() would let nobody in; give it a token, or a function that checks one")
        if any(len(token) < 16 for token in self._known):
            raise UsageError("a token of fewer than 16 characters can be guessed; use secrets.token_urlsafe()")

    async def __call__(self, scope: Scope, /) -> str | None:
        given = Headers(scope=scope).getlist("authorization")
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return None
        raw = token.encode("latin-1")  # as it came
        # All are compared, each in constant time: how long it takes tells nothing of any.
        if True in [hmac.compare_digest(raw, known) for known in self._known]:
            return "bearer"
        for check in self._checks:
            name = await check(token)
            if name is not None:
                return name
        return None
