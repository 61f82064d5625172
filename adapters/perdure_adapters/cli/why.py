"""`perdure why`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.output import json_option, print_json, printable, quietly
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App, Why


def _fields(why: Why) -> dict[str, Any]:
    owner = why.owner
    return {
        "instance_id": why.instance_id,
        "workflow": why.workflow,
        "status": why.status,
        "sentence": why.sentence,
        "since": why.since,
        "problem": why.problem,
        "owner": owner
        and {
            "worker_id": owner.worker_id,
            "expires_at": owner.expires_at,
            "alive": owner.alive,
            "knows": owner.knows,
        },
        "waiting_for": [
            {
                "kind": wait.kind,
                "name": wait.name,
                "text": wait.text,
                "since": wait.since,
                "until": wait.until,
                "attempt": wait.attempt,
                "attempts": wait.attempts,
                "error": wait.error,
                "match": wait.match,
            }
            for wait in why.waiting_for
        ],
    }


@click.command("why")
@target_argument
@click.argument("id")
@json_option
def why(app: App, id: str, as_json: bool) -> None:
    """Say in one sentence what the instance ID waits for, and what is wrong.

    Since when, who owns it, and what to do. The workflow's code is run on its recorded events to find that out;
    nothing is written.
    """

    async def go() -> Why:
        async with Client(app) as client:
            with quietly():
                return await client.app.why(id)

    found = run_async(go)
    if as_json:
        print_json(_fields(found))
    elif sys.stdout.isatty():
        click.secho(printable(found.sentence), fg=None if found.problem is None else "yellow")
    else:
        click.echo(printable(found.sentence))
