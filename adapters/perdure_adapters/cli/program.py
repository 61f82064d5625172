"""The program `perdure`: its commands, and what becomes of errors.

Commands import perdure when they run, so that --help answers at once.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from perdure_adapters.cli.bench import bench
from perdure_adapters.cli.cancel import cancel
from perdure_adapters.cli.completion import completion
from perdure_adapters.cli.demonstrate import demo
from perdure_adapters.cli.emit import emit
from perdure_adapters.cli.history import history
from perdure_adapters.cli.list import list_
from perdure_adapters.cli.migrate import migrate
from perdure_adapters.cli.outbox import outbox
from perdure_adapters.cli.output import printable
from perdure_adapters.cli.publish import publish
from perdure_adapters.cli.purge import purge
from perdure_adapters.cli.retry import retry
from perdure_adapters.cli.run import run as run_
from perdure_adapters.cli.send import send
from perdure_adapters.cli.serve import serve
from perdure_adapters.cli.show import show
from perdure_adapters.cli.start import start
from perdure_adapters.cli.verify import verify
from perdure_adapters.cli.why import why

FAILED = 1
USAGE = 2
INTERRUPTED = 130


class _InOrder(click.Group):
    """Lists its commands as they were added, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 failed, 2 wrong usage, 130 interrupted.",
)
@click.version_option(package_name="perdure", message="perdure %(version)s")
def program() -> None:
    """Durable workflows on the database you already have.

    MODULE:APP names an App, as in `shop.orders:app`; the current directory is searched first.
    Tables become tab-separated lines when the output is not a terminal.
    """


_COMMANDS = (
    demo,
    run_,
    serve,
    migrate,
    start,
    list_,
    show,
    history,
    why,
    cancel,
    send,
    publish,
    emit,
    outbox,
    retry,
    verify,
    purge,
    bench,
    completion,
)
for command in _COMMANDS:
    program.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command. Errors become one line on stderr."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed when we came
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal's poor encoding is no reason to fail
    try:
        code = program.main(list(arguments), prog_name="perdure", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "perdure"
        _complain(f"{error.format_message().rstrip('.')}; see `{path} --help`")
        return USAGE
    except click.ClickException as error:
        _complain(error.format_message())
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return _interrupted()
    except BrokenPipeError:
        # Whoever read has what they wanted; the interpreter must not fail to flush the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Exception, BaseExceptionGroup) as error:
        return _failure(error)


def _failure(error: BaseException) -> int:
    from perdure.errors import PerdureError

    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _interrupted()
    if not isinstance(error, PerdureError | OSError):
        traceback.print_exception(error)  # a bug, and not the user's
        return FAILED
    _complain(str(error))
    return FAILED


def _interrupted() -> int:
    _complain("interrupted")
    return INTERRUPTED


def _complain(message: str) -> None:
    click.echo(f"perdure: {printable(' '.join(message.split()))}", err=True)
