"""Who may call the ingress, as the command line says it. Secrets come from files or the environment only."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any

import click

from perdure_adapters.cli.target import load_object

if TYPE_CHECKING:
    from perdure_adapters.asgi import Authenticator

#: A token that is good, for where files are inconvenient.
VARIABLE = "PERDURE_TOKEN"


def authenticator(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """A click callback for MODULE:CALLABLE."""
    if value is None or ctx.resilient_parsing:
        return None
    found = load_object(ctx, param, value, "callable")
    if not (inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(type(found).__call__)):
        raise click.BadParameter(f"{value!r} is no authenticator; name an `async (scope) -> name or None`", ctx, param)
    return found


def authentication(token_file: str | None, hmac_secret_file: str | None, given: Any) -> Authenticator | None:
    """One of them, else the environment's, or None. Raises UsageError for several, and for guessable secrets."""
    import perdure
    from perdure_adapters.asgi import bearer_token, hmac_signature

    chosen = [each for each in (token_file, hmac_secret_file, given) if each is not None]
    if len(chosen) > 1:
        raise click.UsageError("give one of --token-file, --hmac-secret-file and --authenticate")
    token = os.environ.get(VARIABLE)
    try:
        if token is not None and not chosen:
            return bearer_token(token)
        if token_file is not None:
            return bearer_token(*_lines(token_file, "--token-file"))
        if hmac_secret_file is not None:
            return hmac_signature(*_lines(hmac_secret_file, "--hmac-secret-file"))
    except perdure.UsageError as error:
        raise click.UsageError(str(error)) from error
    found: Authenticator | None = given
    return found


def _lines(path: str, option: str) -> list[str]:
    """Several, so that they can be changed one after the other."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not in UTF-8"
        raise click.UsageError(f"cannot read {path}: {reason}; name a readable file for {option}") from error
    if not lines:
        raise click.UsageError(f"{path} is empty; write at least one secret into it, one a line")
    return lines
