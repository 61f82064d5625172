"""`perdure completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete this command line.

    \b
    bash:  eval "$(perdure completion bash)"       in ~/.bashrc
    zsh:   eval "$(perdure completion zsh)"        in ~/.zshrc
    fish:  perdure completion fish | source        in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    click.echo(kind(ctx.find_root().command, {}, "perdure", "_PERDURE_COMPLETE").source())
