"""A worker process: `python -m faults.serve --url ... --module faults.journey`."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import signal
import sys
from typing import Any

import anyio

from chaos.worker import shift
from faults import killing
from perdure import App, StoreUnavailable


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--module", required=True)
    parser.add_argument("--lease", type=float, default=15.0)
    parser.add_argument("--drain", type=float, default=60.0)
    parser.add_argument("--worker-id")
    parser.add_argument("--clock-offset", type=float, default=0.0)
    parser.add_argument("--partitions", type=int, default=64)
    parser.add_argument("--start", action="append", default=[])
    parser.add_argument("--serve", action="store_true")
    return parser.parse_args()


async def start(app: App, module: Any, what: str) -> None:
    """`what` is "workflow:id:json arguments"; the line is said once `start()` has returned."""
    workflow, id, arguments = what.split(":", 2)
    while True:
        try:
            handle = await app.start(getattr(module, workflow).options(id=id), *json.loads(arguments))
        except StoreUnavailable:  # another process was stopped in the middle of a transaction
            await anyio.sleep(0.05)
        else:
            say(f"accepted {handle.id}")
            return


async def main(given: argparse.Namespace) -> None:
    module = importlib.import_module(given.module)
    app = App(
        given.url,
        workflows=[module],
        lease=given.lease,
        drain=given.drain,
        worker_id=given.worker_id,
        partitions=given.partitions,
    )
    if given.serve:
        await app.run()
        return
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async with app:
            say("ready")
            async with anyio.create_task_group() as group:
                for what in given.start:
                    group.start_soon(start, app, module, what)
            say("started")
            async for _ in signals:
                break


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    killing.install()
    given = options()
    shift(given.clock_offset)
    anyio.run(main, given, backend=given.backend)
