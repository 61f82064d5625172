"""Authentication by a signature over the whole request."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping

from starlette.datastructures import Headers
from starlette.types import Scope

from perdure import Seconds, UsageError
from perdure.durations import seconds
from perdure_adapters.asgi.paths import path_in

_FORM = re.compile(r"t=([0-9]{1,15}),v1=([0-9a-f]{64})")


def hmac_signature(
    *secrets: str | bytes, header: str = "perdure-signature", tolerance: Seconds = 300.0
) -> HmacSignature:
    """For `ingress(authenticate=...)`: requests signed with a secret that both sides have.

    The header is `t=SECONDS,v1=HEX`: when it was signed, in seconds since 1970, and the HMAC-SHA256 of these lines,
    each ended by a newline, and the body directly after them:

    - the same SECONDS; the method; the path within the ingress, not percent-encoded, such as `/`;
    - `name:value` of content-type and of each header whose name begins with `ce-`, names in lower case, in order of
      their names; an empty line.

    What is older or newer than `tolerance` seconds is refused. Several secrets are all good, so that they can be
    changed. `.sign(...)` makes the header. Raises UsageError for a secret of fewer than 16 bytes.
    """
    keys = [secret.encode() if isinstance(secret, str) else secret for secret in secrets]
    return HmacSignature(keys, header.lower(), seconds(tolerance, "tolerance"))


class HmacSignature:
    challenge = "Perdure-Signature"

    def __init__(self, secrets: list[bytes], header: str, tolerance: float) -> None:
        if not secrets or any(len(secret) < 16 for secret in secrets):
            raise UsageError("hmac_signature() takes secrets of at least 16 bytes; use secrets.token_bytes(32)")
        self._secrets = secrets
        self._header = header
        self._tolerance = tolerance
        self.scheme = {"type": "apiKey", "in": "header", "name": header}

    async def __call__(self, scope: Scope, /) -> str | None:
        """Whether it is worth reading the body."""
        found = self._given(Headers(scope=scope))
        if found is None or abs(time.time() - int(found[0])) > self._tolerance:
            return None
        return "signature"

    async def verify(self, scope: Scope, body: bytes) -> bool:
        headers = Headers(scope=scope)
        found = self._given(headers)
        if found is None:
            return False
        text = _signed(found[0], scope["method"], path_in(scope), headers.items(), body)
        return True in [hmac.compare_digest(_digest(secret, text), found[1]) for secret in self._secrets]

    def sign(
        self,
        body: bytes = b"",
        *,
        method: str = "POST",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        at: float | None = None,
    ) -> dict[str, str]:
        """The header to send, by the first of the secrets. `at`: seconds since 1970, now by default."""
        moment = str(int(time.time() if at is None else at))
        named = {name.lower(): value for name, value in (headers or {}).items()}
        text = _signed(moment, method.upper(), path, named.items(), body)
        return {self._header: f"t={moment},v1={_digest(self._secrets[0], text)}"}

    def _given(self, headers: Headers) -> tuple[str, str] | None:
        given = headers.getlist(self._header)
        found = _FORM.fullmatch(given[0]) if len(given) == 1 else None
        return None if found is None else (found[1], found[2])


def _signed(moment: str, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    named = sorted((name, value.strip()) for name, value in headers if name == "content-type" or name[:3] == "ce-")
    lines = [moment, method, path, *(f"{name}:{value}" for name, value in named), ""]
    return "".join(f"{line}\n" for line in lines).encode() + body


def _digest(secret: bytes, text: bytes) -> str:
    return hmac.new(secret, text, hashlib.sha256).hexdigest()
