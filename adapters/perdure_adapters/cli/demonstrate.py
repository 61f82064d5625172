"""`perdure demo`."""

from __future__ import annotations

import os
import sys

import click

from perdure_adapters.cli.backend import backend_option


@click.command("demo")
@backend_option
@click.option("--orders", type=click.IntRange(1, 1000), default=12, show_default=True, help="How many orders.")
@click.option("--seed", type=int, default=0, show_default=True, help="Other baskets, times and moments of the kills.")
@click.option("--keep", is_flag=True, help="Keep the database, and say how to look at it.")
@click.option("--plain", is_flag=True, help="A line per event; the default where the output is not a terminal.")
def demo(backend: str, orders: int, seed: int, keep: bool, plain: bool) -> int:
    """See a worker killed in mid-run, twice, and every step done once.

    Runs a dozen orders in a worker process on SQLite, sends it SIGKILL, and lets another worker go
    on where it stopped; about ten seconds. Exits with 0 only if every order completed and no
    recorded step ran again.
    """
    from perdure_adapters.cli.demo.run import run_demo

    return run_demo(backend=backend, orders=orders, seed=seed, keep=keep, plain=plain or not _able())


def _able() -> bool:
    """Whether the output can show the table: a terminal that moves its cursor and knows the marks."""
    if not sys.stdout.isatty() or os.environ.get("TERM") in ("dumb", "unknown"):
        return False
    return sys.stdout.encoding.lower().startswith("utf")
