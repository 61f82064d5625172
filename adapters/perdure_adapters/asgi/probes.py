"""What an orchestrator asks: whether the process serves, and whether to send it anything."""

from __future__ import annotations

import anyio
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from perdure import App, Health, UsageError
from perdure_adapters.asgi.problem import Problem, answer
from perdure_adapters.asgi.route import Answering

#: Seconds that the database has to answer, and for which its answer is good: anybody may ask, as often as he likes.
_PATIENCE = 2.0
_FRESH = 1.0


class Live:
    """GET /health/live."""

    def __call__(self, scope: Scope, headers: Headers, id: str) -> Answering:
        async def live(body: bytes) -> Response:
            return answer({"status": "live"})

        return live


class Ready:
    """GET /health/ready: one look at the database a second, however many ask."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._seen: Health | None = None
        self._until = 0.0
        self._looking: anyio.Event | None = None

    def __call__(self, scope: Scope, headers: Headers, id: str) -> Answering:
        async def ready(body: bytes) -> Response:
            health = await self._health()
            if health is None:
                raise Problem(503, "this process is not serving yet, or not any more; ask again later")
            document = {
                "status": "ready" if health.ready else "not ready",
                "store": health.store,
                "worker": health.worker,
                "leases": health.leases,
                "stuck": health.stuck,
            }
            response = answer(document, 200 if health.ready else 503)
            if not health.ready:
                response.headers["retry-after"] = "2"
            return response

        return ready

    async def _health(self) -> Health | None:
        while self._looking is not None:
            await self._looking.wait()
        if anyio.current_time() < self._until:
            return self._seen
        self._looking = anyio.Event()
        try:
            self._seen = await self._app.health(timeout=_PATIENCE)
        except UsageError:  # it is closed
            self._seen = None
        finally:
            self._looking.set()
            self._looking = None
        self._until = anyio.current_time() + _FRESH
        return self._seen
