"""What a receiver of events answers over HTTP, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from attrs import frozen

from perdure import PerdureError, TerminalError
from perdure.cloudevents.publishing import Unpublished
from perdure_adapters.pauses import asked_pause

#: Statuses below 500 that may pass: Request Timeout, Too Early, Too Many Requests.
_PASSING = frozenset((408, 425, 429))
#: Bytes of an answer that are looked at, and characters of it that a message quotes.
BEGINNING = 8192
_QUOTED = 200


@frozen
class Answer:
    """`text` is the beginning of its body; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    text: bytes

    def refusal(self, place: str, id: str) -> PerdureError | None:
        """None: the event has been taken."""
        if 200 <= self.status < 300:
            return None
        said = f"{place} answered {self._named()}{self._quoted()}"
        if self.status >= 500 or self.status in _PASSING:
            return Unpublished(f"{said}; the event is sent again later", retry_after=asked_pause(self.headers))
        return TerminalError(f"{said}; mend the cause, then `app.retry_outbox({id!r})` sends the event again")

    def _named(self) -> str:
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    def _quoted(self) -> str:
        # A control character in it would make trouble wherever the message is kept or shown.
        text = self.text.decode(errors="replace")[: 2 * _QUOTED]
        words = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
        if not words:
            return ""
        return f" ({words[:_QUOTED]}{'...' if len(words) > _QUOTED else ''})"
