"""The command line: `perdure --help`. Needs the extra `perdure[cli]`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that sys.argv asks for, and exit."""
    try:
        import click  # noqa: F401  # to tell a missing extra from other import errors
        import rich  # noqa: F401
    except ModuleNotFoundError as error:
        sys.exit(f"perdure: the command line needs {error.name}; install perdure[cli]")
    from perdure_adapters.cli.program import run

    sys.exit(run(sys.argv[1:]))
