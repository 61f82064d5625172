"""Starts ids at given moments, as another process does at the same moments: `python -m chaos.twin ...`."""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import signal
import sys
import time

import anyio

from chaos import messengers, workflows
from perdure import App, StoreUnavailable
from simulation import programs


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--lease", type=float, default=2.0)
    parser.add_argument("--worker-id")
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--times", type=int, required=True)
    parser.add_argument("--at", type=float, required=True, help="the first moment, of CLOCK_MONOTONIC")
    parser.add_argument("--every", type=float, required=True)
    parser.add_argument("--count", type=int, required=True, help="the argument, by which the starter is known")
    parser.add_argument("--client", action="store_true")
    return parser.parse_args()


async def start(app: App, id: str, at: float, count: int) -> None:
    await anyio.sleep(max(0.0, at - time.monotonic()))
    while True:
        try:
            handle = await app.start(workflows.counter.options(id=id), count)
            print(f"accepted {id}", flush=True)
            print(f"result {id} {await handle.result()}", flush=True)
            return
        except StoreUnavailable:
            await anyio.sleep(0.05)


async def main(given: argparse.Namespace) -> None:
    while True:
        app = App(
            given.url,
            workflows=[workflows, messengers, programs.program],
            lease=given.lease,
            worker_id=given.worker_id,
            retry=workflows.RETRY,
            worker=not given.client,
        )
        try:
            await app.__aenter__()
            break
        except StoreUnavailable as error:
            print(f"unavailable: {error}", flush=True)
            await anyio.sleep(0.1)
    try:
        async with anyio.create_task_group() as group:
            for number in range(given.times):
                at = given.at + number * given.every
                group.start_soon(start, app, f"{given.prefix}-{number}", at, given.count)
    finally:
        await app.__aexit__(None, None, None)


if __name__ == "__main__":
    given = options()
    os.environ[workflows.VARIABLE] = given.url
    faulthandler.register(signal.SIGUSR1)  # where it hangs, should it be asked
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    anyio.run(main, given, backend=given.backend)
    sys.exit(0)
