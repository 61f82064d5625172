"""`perdure run`."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import click

from perdure_adapters.cli.backend import backend_option
from perdure_adapters.cli.target import target_argument

if TYPE_CHECKING:
    from perdure import App


@click.command("run")
@target_argument
@backend_option
def run(app: App, backend: str) -> None:
    """Run a worker until SIGTERM or Ctrl-C, then drain.

    Activities under way get the app's `drain` time; what is not done by then runs again on another
    worker. A second signal ends the draining.
    """
    import logging

    import anyio

    # Until the app listens itself there is nothing to drain.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    anyio.run(app.run, backend=backend)
