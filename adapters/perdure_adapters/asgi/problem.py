"""What goes wrong, as RFC 9457 writes it: application/problem+json."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.responses import Response

#: Whether sending the same again can help, by status; and the seconds to wait before it.
RETRYABLE = {408: 1, 429: 1, 500: 5, 503: 2}

MEDIA_TYPE = "application/problem+json"
#: What is told of a caller's own text is cut off here.
_LONGEST = 1000
#: Answers are of this moment, and nothing for a browser to make something else of.
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Problem(Exception):
    """Raised to be answered. `detail` is for the caller: it says what to do, and nothing of the insides."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}

    def response(self) -> Response:
        detail = self.detail if len(self.detail) <= _LONGEST else f"{self.detail[:_LONGEST]}..."
        headers = {**HEADERS, **self.headers}
        if self.status in RETRYABLE:
            headers.setdefault("retry-after", str(RETRYABLE[self.status]))
        content = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": detail.encode("utf-8", "replace").decode(),
            "retryable": self.status in RETRYABLE,
        }
        return Response(orjson.dumps(content), self.status, headers, MEDIA_TYPE)


def answer(content: object, status: int = 200) -> Response:
    """What went well."""
    return Response(orjson.dumps(content), status, HEADERS, "application/json")
