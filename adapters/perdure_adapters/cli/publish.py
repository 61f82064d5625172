"""`perdure publish`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from perdure_adapters.cli.backend import run_async
from perdure_adapters.cli.data import data_argument, pairs_option
from perdure_adapters.cli.output import json_option, print_json
from perdure_adapters.cli.target import Client, target_argument

if TYPE_CHECKING:
    from perdure import App


@click.command("publish")
@target_argument
@click.argument("channel")
@data_argument
@pairs_option("--metadata", "Goes along with the message; may be given several times.")
@click.option("--id", "message_id", help="The message's id; published again with the same id, it is the same message.")
@json_option
def publish(app: App, channel: str, data: Any, metadata: dict[str, str], message_id: str | None, as_json: bool) -> None:
    """Publish a message to the subscribers of CHANNEL.

    To all of them or, where they compete, to one. DATA is JSON, or plain text where it is no JSON; - reads it from
    stdin. Returns once the message is recorded.
    """

    async def go() -> None:
        async with Client(app) as client:
            await client.app.publish(channel, data, metadata=metadata or None, id=message_id)

    run_async(go)
    if as_json:
        print_json({"channel": channel, "published": True})
    else:
        click.echo(f"published on channel {channel!r}")
