"""Events to a URL: CloudEvents 1.0 over HTTP."""

from __future__ import annotations

import re
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal

import anyio
import httpx2

from perdure import Event, Seconds, UsageError
from perdure.cloudevents.publishing import Unpublished
from perdure.durations import seconds
from perdure_adapters.relay.answers import BEGINNING, Answer
from perdure_adapters.relay.envelope import STRUCTURED, body, content_type, headers, is_header, structured
from perdure_adapters.relay.shared import Shared

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OWN = frozenset(("content-type", "content-length", "transfer-encoding"))


class HttpPublisher:
    """POSTs each event to `url`; any 2xx means that it has been taken.

    429, 408, 425, 5xx, timeouts and failures of the network are Unpublished, so tried again until an event is
    `max_age` old (None: for ever). Any other status, redirections too, is a TerminalError. A user and a password in the
    URL are sent as basic authentication; `headers` go out with each request. `timeout` is for a whole request.
    """

    def __init__(
        self,
        url: str,
        *,
        max_age: Seconds | None = timedelta(days=3),
        headers: dict[str, str] | None = None,
        mode: Literal["binary", "structured"] = "binary",
        timeout: Seconds = 30,
        connections: int = 1000,
    ) -> None:
        parsed = _parsed(url)
        # Apart from its password: the client logs the URLs that it asks for.
        self._url = parsed.copy_with(userinfo=b"")
        self._place = str(self._url.copy_with(query=None, fragment=None))  # a query may hold a secret as well
        self._auth = (parsed.username, parsed.password) if parsed.userinfo else None
        self._headers = {"accept-encoding": "identity", **_checked(headers or {})}
        if mode not in ("binary", "structured"):
            raise UsageError(f"HttpPublisher(mode={mode!r}): give 'binary' or 'structured'")
        self._structured = mode == "structured"
        self.timeout = seconds(timeout, "HttpPublisher(timeout=...)")
        if self.timeout == 0:
            raise UsageError("HttpPublisher(timeout=0): give the seconds that a request may take")
        if not isinstance(connections, int) or isinstance(connections, bool) or connections < 1:
            raise UsageError(f"HttpPublisher(connections={connections!r}): give a whole number, 1 or more")
        self._connections = connections
        self.max_age: float | None = None if max_age is None else seconds(max_age, "HttpPublisher(max_age=...)")
        self._client = Shared(self._open)

    def __repr__(self) -> str:
        return f"<publisher to {self._place}>"

    async def __aenter__(self) -> HttpPublisher:
        self._client.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        await self._client.leave()

    async def publish(self, event: Event[Any], /) -> None:
        """Outside `async with` each event takes a connection of its own."""
        sent, content = self._message(event)
        async with self._client.hold() as client:
            answer = await self._post(client, sent, content)
        refusal = answer.refusal(self._place, event.id)
        if refusal is not None:
            raise refusal

    def _open(self) -> httpx2.AsyncClient:
        limits = httpx2.Limits(max_connections=self._connections, max_keepalive_connections=min(100, self._connections))
        return httpx2.AsyncClient(auth=self._auth, headers=self._headers, timeout=None, limits=limits)

    def _message(self, event: Event[Any]) -> tuple[dict[str, str], bytes]:
        sent = headers(event)
        if self._structured:
            sent = {name: value for name, value in sent.items() if not name.startswith("ce-")}
            return {**sent, "content-type": STRUCTURED}, structured(event)
        sent.pop("ce-datacontenttype", None)  # it has a header of its own
        kind = content_type(event)
        return (sent if kind is None else {**sent, "content-type": kind}), body(event)

    async def _post(self, client: httpx2.AsyncClient, sent: dict[str, str], content: bytes) -> Answer:
        """Raises Unpublished if there is no answer."""
        answer: Answer | None = None
        text = b""
        try:
            with anyio.move_on_after(self.timeout) as scope:
                async with client.stream("POST", self._url, content=content, headers=sent) as response:
                    answer = Answer(response.status_code, dict(response.headers), b"")
                    # To its end, if that is near: the connection can be used again then.
                    async for chunk in response.aiter_raw():
                        text += chunk
                        if len(text) > BEGINNING:
                            scope.cancel()  # `break` would leave the client's generators to the garbage collector
        except httpx2.RequestError as error:
            if answer is None:  # once there is one, it counts, however it was cut off
                what = str(error) or type(error).__name__
                raise Unpublished(f"{self._place} was not reached ({what}); the event is sent again later") from error
        if answer is None:
            raise Unpublished(f"{self._place} did not answer within {self.timeout:g} s; the event is sent again later")
        return Answer(answer.status, answer.headers, text[:BEGINNING])


def _parsed(url: str) -> httpx2.URL:
    """Raises UsageError, without the URL, in which there may be a password."""
    try:
        parsed = httpx2.URL(url)
    except (TypeError, ValueError, httpx2.InvalidURL):
        parsed = httpx2.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError(
            "HttpPublisher(url): give where events are to be sent, like 'https://broker.example/events', with what "
            "means something in a URL percent-encoded (an @ in a password is %40, a slash %2F)"
        )
    return parsed


def _checked(headers: dict[str, str]) -> dict[str, str]:
    """Raises UsageError, without the value, which may be a secret."""
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise UsageError(f"HttpPublisher(headers=...): {name!r} cannot name a header; use letters, digits and -")
        if name.lower().startswith("ce-") or name.lower() in _OWN:
            raise UsageError(f"HttpPublisher(headers=...): {name} is set by each event; leave it out")
        if not is_header(value):
            raise UsageError(f"HttpPublisher(headers=...): the value of {name} is not printable ASCII text; encode it")
    return headers
