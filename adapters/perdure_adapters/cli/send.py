"""`perdure send`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.data import data_argument, pairs_option
from perdure_adapters.cli.output import json_option, print_json
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App


@click.command("send")
@target_argument
@click.argument("id")
@click.argument("channel")
@data_argument
@pairs_option("--metadata", "Goes along with the message; may be given several times.")
@click.option("--id", "message_id", help="The message's id; sent again with the same id, it is the same message.")
@json_option
def send(
    app: App, id: str, channel: str, data: Any, metadata: dict[str, str], message_id: str | None, as_json: bool
) -> None:
    """Send a message to the instance ID on a CHANNEL.

    DATA is JSON, or plain text where it is no JSON; - reads it from stdin. Returns once the message is recorded: it is
    kept until the workflow receives on this channel.
    """

    async def go() -> None:
        async with Client(app) as client:
            await (await client.handle(id)).send(channel, data, metadata=metadata or None, id=message_id)

    run_async(go)
    if as_json:
        print_json({"instance_id": id, "channel": channel, "sent": True})
    else:
        click.echo(f"{id}: sent on channel {channel!r}")
