"""`perdure list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.instance import COLUMNS, fields, row
from perdure_adapters.cli.output import json_option, more, print_json, print_rows
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App, InstanceInfo, Page

_STATUSES = ("running", "waiting", "completed", "failed", "cancelled", "compensating", "stuck")


def _matches(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """`order.id=42` is the number; what is no JSON is the text itself, which spares quotes within quotes."""
    import orjson

    wanted: dict[str, Any] = {}
    for value in values:
        path, equals, text = value.partition("=")
        if not equals or not path:
            raise click.BadParameter(f"{value!r} is not PATH=VALUE, as in order.id=42", ctx, param)
        try:
            wanted[path] = orjson.loads(text)
        except ValueError:
            wanted[path] = text
    return wanted


@click.command("list")
@target_argument
@click.option("--workflow", help="Only instances of this workflow.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only instances with this status.")
@click.option(
    "--input",
    "matches",
    metavar="PATH=VALUE",
    multiple=True,
    callback=_matches,
    help="Only instances whose arguments fit, as in order.id=42; VALUE is JSON or plain text.",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--cursor", help="Where the page before ended.")
@json_option
def list_(
    app: App,
    workflow: str | None,
    status: Any,
    matches: dict[str, Any],
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """List instances, the newest first."""

    async def go() -> Page[InstanceInfo]:
        async with Client(app) as client:
            return await client.app.find(workflow=workflow, status=status, input=matches, limit=limit, cursor=cursor)

    page = run_async(go)
    if as_json:
        print_json({"instances": [fields(info) for info in page], "cursor": page.cursor})
        return
    print_rows(COLUMNS, [row(info) for info in page])
    more(page.cursor)
