"""Runs the demo and says how it went."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import anyio

from perdure_adapters.cli.demo.account import Account
from perdure_adapters.cli.demo.crew import Crew
from perdure_adapters.cli.demo.lines import Lines
from perdure_adapters.cli.demo.place import Place
from perdure_adapters.cli.demo.story import Story, View

#: Orders that share one of the worker's activities at a time: so that many orders take no longer.
_ORDERS_PER_STEP = 3


def run_demo(*, backend: str, orders: int, seed: int, keep: bool, plain: bool) -> int:
    """The exit code: 0 when every order completed, no recorded step ran again and none was lost."""
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="perdure-demo-"))
        if not keep:
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
        place = Place(directory, seed, width=-(-orders // _ORDERS_PER_STEP))
        crew = stack.enter_context(Crew(place, backend))
        for number in (signal.SIGTERM, signal.SIGHUP):
            # Asked to end, it ends as with Ctrl-C: the event loops know how to do that.
            previous = signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
            stack.callback(signal.signal, number, previous)
        with ExitStack() as screen:
            view = _view(crew, screen, plain)
            account = anyio.run(Story.plan(place, crew, view, orders).tell, backend=backend)
    _tell(account, plain)
    if keep:
        _hint(place)
    return 0 if account.good else 1


def _view(crew: Crew, stack: ExitStack, plain: bool) -> View:
    if plain:
        return Lines()
    from rich.console import Console

    from perdure_adapters.cli.demo.screen import Screen

    return stack.enter_context(Screen(Console(), crew))


def _rows(account: Account) -> list[tuple[str, str]]:
    return [
        ("orders completed", f"{account.completed} of {account.orders}"),
        ("steps done", f"{account.recorded} of {account.steps}"),
        ("kills", f"{account.kills}"),
        ("interrupted and run again", f"{account.interrupted}"),
        ("repeated steps", f"{account.repeated}"),
        ("lost orders", f"{account.lost}"),
    ]


def _verdict(account: Account) -> str:
    if not account.good:
        return "That should not happen: something was lost or done twice."
    return (
        "No recorded step ran again and no order was lost. The steps that a kill cut off\n"
        "ran again under the same idempotency key, so that the world outside can tell."
    )


def _tell(account: Account, plain: bool) -> None:
    rows = _rows(account)
    if plain:
        text = "".join(f"{name:<28}{value}\n" for name, value in rows)
        sys.stdout.write(f"\n{text}\n{_verdict(account)}\n")
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column()
    table.add_column(justify="right", style="bold")
    for name, value in rows:
        table.add_row(name, value)
    console.print()
    console.print(table)
    console.print()
    console.print(_verdict(account), style="green" if account.good else "bold red")


def _hint(place: Place) -> None:
    sys.stdout.write(
        f"\nThe database is kept in {place.directory}. Look at it with\n\n"
        f"    export PERDURE_DEMO={place.directory}\n"
        "    perdure list perdure_adapters.cli.demo.app:app\n"
        "    perdure history perdure_adapters.cli.demo.app:app A-1001\n"
    )
