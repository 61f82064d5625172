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
    collect_seldom()
    anyio.run(app.run, backend=backend)


def collect_seldom() -> None:
    """Settle the garbage collector for a process that is a worker and nothing else.

    Actors are many small objects without cycles, so the collector finds nothing and takes a quarter
    of the time. What is loaded by now stays for good; the young are looked at more seldom.
    """
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
