"""`perdure show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.instance import fields
from perdure_adapters.cli.output import compact, json_option, print_fields, print_json
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App


@click.command("show")
@target_argument
@click.argument("id")
@json_option
def show(app: App, id: str, as_json: bool) -> None:
    """Show the instance ID: its status, input and result."""

    async def go() -> dict[str, Any]:
        async with Client(app) as client:
            handle = await client.handle(id)
            info, history = await handle.info(), await handle.history()
            shown = fields(info)
            shown["input"] = history[0].data.get("input", {})
            shown["result"] = history[-1].data if history[-1].kind == "WorkflowCompleted" else None
            return shown

    shown = run_async(go)
    if as_json:
        print_json(shown)
        return
    shown["input"] = compact(shown["input"])
    shown["result"] = compact(shown["result"]) if shown["status"] == "completed" else None
    print_fields(shown)
