"""POST /: events in, durable before the answer."""

from __future__ import annotations

import anyio
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from perdure import App, InvalidInput
from perdure_adapters.asgi.binding import reader
from perdure_adapters.asgi.problem import Problem, answer
from perdure_adapters.asgi.route import Answering
from perdure_adapters.asgi.turnstile import Turnstile

#: Bytes of text that may be parsed at once.
_PARSED = 4 * 1024 * 1024
#: Seconds that a sender is kept waiting for the database.
_PATIENCE = 30.0


class Receive:
    """202 once the app has all of the events; else none of them, as far as anybody knows."""

    def __init__(self, app: App, max_batch: int) -> None:
        self._app = app
        self._max_batch = max_batch
        self._turnstile = Turnstile(_PARSED)

    def __call__(self, scope: Scope, headers: Headers, id: str) -> Answering:
        read = reader(headers, self._max_batch)

        async def receive(body: bytes) -> Response:
            with anyio.move_on_after(_PATIENCE):
                async with self._turnstile.pass_through(len(body)):
                    try:
                        delivered = await self._app.deliver_all(read(body))
                    except InvalidInput as error:
                        raise Problem(400, str(error)) from error
                events = [
                    {
                        "id": one.id,
                        "source": one.source,
                        "duplicate": one.duplicate,
                        "started": one.started,
                        "matched": one.matched,
                    }
                    for one in delivered
                ]
                return answer({"events": events}, 202)
            raise Problem(503, "it is not known whether the events were kept; send them again: none counts twice")

        return receive
