"""The simplest way to tell callers apart from strangers: a token that both sides know."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from typing import TypeAlias

from mcp.server.auth.provider import AccessToken

from perdure import UsageError

Token: TypeAlias = str | Callable[[], str]

_SHORTEST = 16


def static_token(*tokens: Token, client_id: str = "static", scopes: Iterable[str] = ()) -> StaticToken:
    """For `MCPServer(token_verifier=...)`: a token in `Authorization: Bearer ...`.

    Each of `tokens` is one that is good, of at least 16 characters, or a function that gives it, called at each
    request. Several, so that they can be changed one after the other. Raises UsageError for a token that is too short.
    """
    return StaticToken(tokens, client_id, tuple(scopes))


class StaticToken:
    def __init__(self, tokens: tuple[Token, ...], client_id: str, scopes: tuple[str, ...]) -> None:
        if not tokens:
            raise UsageError("static_token() would let nobody in; give it a token, or a function that returns one")
        self._tokens = tokens
        self._client_id = client_id
        self._scopes = scopes
        for token in tokens:
            if isinstance(token, str):
                _checked(token)

    async def verify_token(self, token: str) -> AccessToken | None:
        """None for a wrong one. All are compared, each in constant time: how long it takes tells nothing of any."""
        given = token.encode("utf-8", "surrogatepass")
        known = [_checked(one if isinstance(one, str) else one()).encode() for one in self._tokens]
        if True not in [hmac.compare_digest(given, one) for one in known]:
            return None
        return AccessToken(token=token, client_id=self._client_id, scopes=list(self._scopes))


def _checked(token: str) -> str:
    if isinstance(token, str) and not (token.isascii() and token.isprintable() and token == token.strip()):
        raise UsageError("a token with blanks around it, or characters beyond ASCII, never arrives; use another")
    if not isinstance(token, str) or len(token) < _SHORTEST:
        raise UsageError(
            f"a token of fewer than {_SHORTEST} characters can be guessed; use one of secrets.token_urlsafe()"
        )
    return token
