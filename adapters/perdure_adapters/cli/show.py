"""`perdure show`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from perdure_adapters.cli import timeline
from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.instance import fields
from perdure_adapters.cli.output import compact, json_option, print_fields, print_json, quietly
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App, InstanceInfo, Step


@click.command("show")
@target_argument
@click.argument("id")
@json_option
def show(app: App, id: str, as_json: bool) -> None:
    """Show the instance ID: its status, input and result, and its steps.

    Of each step: when it began, how long it took, attempts, outcome. When it began is found out by running the
    workflow's code on the recorded events; nothing is written.
    """

    async def go() -> tuple[InstanceInfo, dict[str, Any], list[Step]]:
        async with Client(app) as client:
            handle = await client.handle(id)
            info, history = await handle.info(), await handle.history()
            shown = fields(info)
            shown["input"] = history[0].data.get("input", {})
            shown["result"] = history[-1].data if history[-1].kind == "WorkflowCompleted" else None
            with quietly():
                return info, shown, await client.app.timeline(id)

    info, shown, steps = run_async(go)
    if as_json:
        print_json({**shown, "steps": [timeline.fields(step) for step in steps]})
        return
    shown["input"] = compact(shown["input"])
    shown["result"] = compact(shown["result"]) if shown["status"] == "completed" else None
    print_fields(shown)
    if steps:
        click.echo()
        start = min((step.began for step in steps if step.began is not None), default=info.created_at)
        timeline.print_steps(steps, start, info.ended_at or max(datetime.now(UTC), start))
