"""A connection to NATS JetStream, inside asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from attrs import frozen
from nats.aio.client import Client
from nats.errors import Error, MaxPayloadError, NoServersError
from nats.js.errors import APIError, NoStreamResponseError

from perdure import PerdureError, TerminalError
from perdure.cloudevents.publishing import Unpublished

#: Seconds until a server is tried again, once, before the connection is given up: the next event asks for another.
_PAUSE = 1
#: Seconds between pings: two that are not answered end the connection.
_PING = 20
#: Seconds to say goodbye in.
_CLOSING = 2
#: What JetStream calls a message over the stream's max_msg_size.
_TOO_LARGE = 10054
#: Bytes that frame the headers, "NATS/1.0" and the ends of two lines, and each of them.
_FRAME = 12
_LINE = 4


@frozen
class Letter:
    """A message on its way. Headers are ASCII."""

    subject: str
    headers: dict[str, str]
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes of headers and payload together, as the server counts them."""
        lines = sum(len(name) + len(value) + _LINE for name, value in self.headers.items())
        return _FRAME + lines + len(self.payload)


class JetStream:
    """Connects when it is first needed, and again when the connection is lost."""

    def __init__(self, servers: Sequence[str], place: str, timeout: float) -> None:
        self._servers = list(servers)
        self._place = place
        self._timeout = timeout
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._failures = 0
        self._trouble: Exception | None = None

    async def publish(self, letter: Letter) -> None:
        """Returns once the stream has stored it, now or before."""
        try:
            async with asyncio.timeout(self._timeout):
                client = await self._connected()
                if letter.size > client.max_payload:  # the server would end the connection
                    raise MaxPayloadError
                jetstream = client.jetstream(timeout=self._timeout)
                await jetstream.publish(letter.subject, letter.payload, headers=letter.headers)
        except TimeoutError as error:
            trouble = f" ({self._trouble})" if self._trouble else ""
            raise Unpublished(
                f"{self._place} did not answer within {self._timeout:g} s{trouble}; the event is sent again later"
            ) from error
        except (Error, OSError, ValueError, KeyError, TypeError) as error:  # the last: an answer of someone else
            raise self._refusal(error, letter) from error

    async def _connected(self) -> Client:
        failures = self._failures
        async with self._connecting:
            if self._client is not None:
                if self._client.is_connected:
                    return self._client
                _abort(self._client)
            if failures != self._failures:  # who has waited while another failed need not try the same once more
                raise ConnectionError(f"there is no connection ({self._trouble})")
            self._client = await self._connect()
            return self._client

    async def _connect(self) -> Client:
        client = Client()
        try:
            await client.connect(
                self._servers,
                name="perdure",
                error_cb=self._note,
                # When it is needed: the client's own way waits for ever for a server that has stopped reading.
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=_PAUSE,
                ping_interval=_PING,
            )
        except (Error, OSError) as error:
            self._failures += 1
            await _end(client)
            if self._trouble is None or not isinstance(error, NoServersError):
                self._trouble = error
            raise ConnectionError(f"there is no connection ({self._trouble})") from error
        except BaseException:  # somebody's time is up, or it is called off: the others go on trying
            await _end(client)
            raise
        self._trouble = None
        return client

    async def _note(self, error: Exception) -> None:
        self._trouble = error

    def _refusal(self, error: Exception, letter: Letter) -> PerdureError:
        if isinstance(error, MaxPayloadError) or (isinstance(error, APIError) and error.err_code == _TOO_LARGE):
            return TerminalError(
                f"{self._place} takes no message as large as this ({letter.size:,} bytes on {letter.subject!r}); "
                "emit a reference to the data instead"
            )
        if isinstance(error, NoStreamResponseError):
            said = f"no stream takes the subject {letter.subject!r}; add one that does, with JetStream enabled"
        elif isinstance(error, APIError):
            said = f"the stream refused it: {error.description}"
        elif isinstance(error, Error | OSError):
            said = str(error) or type(error).__name__
        else:
            said = f"what answers on the subject {letter.subject!r} is not JetStream ({type(error).__name__}: {error})"
        return Unpublished(f"{self._place}: {said}; the event is sent again later")

    async def close(self) -> None:
        if self._client is not None:
            await _end(self._client)


async def _end(client: Client) -> None:
    closing = asyncio.ensure_future(client.close())
    await asyncio.wait([closing], timeout=_CLOSING)
    if not _abort(client):
        closing.cancel()
    await asyncio.wait([closing])
    if not closing.cancelled():
        closing.exception()  # seen: it is closed all the same


def _abort(client: Client) -> bool:
    """Close its socket now, whatever a server that has stopped reading was not given. False: it has none."""
    writer: asyncio.StreamWriter | None = getattr(client._transport, "_io_writer", None)
    if writer is None:
        return False
    writer.transport.abort()
    return True
