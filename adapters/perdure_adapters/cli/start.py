"""`perdure start`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.data import text_of
from perdure_adapters.cli.output import json_option, print_json
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App


def _arguments(ctx: click.Context, param: click.Parameter, value: str) -> dict[str, Any]:
    import orjson

    try:
        arguments = orjson.loads(text_of(ctx, param, value))
    except ValueError as error:
        raise click.BadParameter(f"not JSON ({error}); give an object, like '{{\"order\": 42}}'", ctx, param) from None
    if not isinstance(arguments, dict):
        raise click.BadParameter("give a JSON object of the arguments by name, like '{\"order\": 42}'", ctx, param)
    return arguments


@click.command("start")
@target_argument
@click.argument("workflow")
@click.argument("arguments", metavar="[JSON]", default="{}", callback=_arguments)
@click.option("--id", help="The instance's id; starting an id again gives the same instance.")
@json_option
def start(app: App, workflow: str, arguments: dict[str, Any], id: str | None, as_json: bool) -> None:
    """Start WORKFLOW; print the instance's id once it is durable.

    JSON is an object of the workflow's arguments by name; - reads it from stdin. A worker has to be running, now or
    later.
    """

    async def go() -> str:
        async with Client(app, existing=False) as client:
            definition = client.workflow(workflow)
            parameters = definition.schema.parameters
            args, kwargs = parameters.unpack(parameters.from_data(arguments))
            return (await client.app.start(definition.options(id=id), *args, **kwargs)).id

    instance_id = run_async(go)
    if as_json:
        print_json({"instance_id": instance_id})
    else:
        click.echo(instance_id)
