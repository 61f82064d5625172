"""What the four tools of a workflow do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp_types as t
from mcp.server import ServerRequestContext

from perdure import InvalidInput
from perdure.codec import codec_for
from perdure_adapters.mcp.answers import given
from perdure_adapters.mcp.documents import status_of
from perdure_adapters.mcp.instances import Instances
from perdure_adapters.mcp.outcomes import outcome
from perdure_adapters.mcp.registered import LONGEST_REASON, LONGEST_WAIT, Registered, check_arguments

_REASON = codec_for(str | None, "reason")


class Tools:
    def __init__(self, instances: Instances) -> None:
        self._instances = instances

    async def call(
        self, ctx: ServerRequestContext[Any, Any], one: Registered, verb: str, arguments: Mapping[str, Any]
    ) -> t.CallToolResult:
        """Raises Refused, InvalidInput, NotCancellable and what the app raises."""
        if verb == "start":
            return given({"instance_id": (await self._instances.start(one, arguments)).id})
        check_arguments(one.tools[verb], arguments)
        if verb == "status":
            handle = await self._instances.of(one, arguments["instance_id"])
            return given(status_of(await handle.info()))
        if verb == "result":
            return await self._result(ctx, one, arguments)
        return await self._cancel(one, arguments)

    async def _result(
        self, ctx: ServerRequestContext[Any, Any], one: Registered, arguments: Mapping[str, Any]
    ) -> t.CallToolResult:
        wait = arguments.get("wait", 0)
        if not 0 <= wait <= LONGEST_WAIT:
            raise InvalidInput(f"wait: give 0 to {LONGEST_WAIT} seconds, and ask again after them")
        handle = await self._instances.of(one, arguments["instance_id"])

        async def progress(steps: int, last: str) -> None:
            await ctx.session.report_progress(steps, None, last)

        wanted = "progress_token" in (ctx.meta or {})
        return await outcome(one, handle, wait=wait, progress=progress if wanted else None)

    async def _cancel(self, one: Registered, arguments: Mapping[str, Any]) -> t.CallToolResult:
        reason = arguments.get("reason")
        if reason is not None and len(reason) > LONGEST_REASON:
            raise InvalidInput(f"reason: give at most {LONGEST_REASON} characters")
        _REASON.check(reason, "reason")
        handle = await self._instances.of(one, arguments["instance_id"])
        await handle.cancel(reason=reason)
        return given({"instance_id": handle.id, "cancel_requested": True})
