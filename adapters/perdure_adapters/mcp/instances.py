"""Instances of registered workflows; there are no others here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perdure import App, Conflict, Handle, InstanceNotFound, InvalidInput
from perdure_adapters.mcp.answers import Refused
from perdure_adapters.mcp.registered import Registered


class Instances:
    """`workflows` are those registered, by name; it may change."""

    def __init__(self, app: App, workflows: Mapping[str, Registered]) -> None:
        self.app = app
        self._workflows = workflows

    async def of(self, one: Registered, id: str) -> Handle[Any]:
        """Raises Refused in the same words for unknown ids and those of other workflows."""
        try:
            handle = self.app.handle(one.workflow, id)
            await handle.info()
        except (InstanceNotFound, Conflict, InvalidInput):  # what cannot be an id is not one's
            raise Refused(
                f"there is no instance {id[:300]!r} of {one.name}; check the id that {one.name}_start returned"
            ) from None
        return handle

    async def find(self, id: str) -> tuple[Registered, Handle[Any]] | None:
        """An instance of any of them."""
        try:
            workflow = (await (await self.app.lookup(id)).info()).workflow
        except (InstanceNotFound, InvalidInput, Conflict):  # it may just be gone, or another's
            return None
        one = self._workflows.get(workflow)
        return None if one is None else (one, self.app.handle(one.workflow, id))

    async def start(self, one: Registered, arguments: Mapping[str, Any]) -> Handle[Any]:
        """By the arguments of the tool. Raises InvalidInput, Refused for an id that is taken."""
        data = dict(arguments)
        id = data.pop("instance_id", None)
        if id is not None and not isinstance(id, str):
            raise InvalidInput("instance_id: give a string, or leave it out")
        workflow = one.workflow.options(id=id)
        parameters = workflow.schema.parameters
        args, kwargs = parameters.unpack(parameters.from_data(data, max_payload=self.app.max_payload))
        try:
            return await self.app.start(workflow, *args, **kwargs)
        except Conflict:
            raise Refused(f"the instance_id {id!r} is taken; choose another one, or leave it out") from None
