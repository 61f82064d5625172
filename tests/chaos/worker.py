"""A worker process: `python -m chaos.worker --url ... --backend trio`. Serves until SIGTERM."""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import signal
import sys
import time
from pathlib import Path

#: The exit status of a worker that could not open its app: whoever started it starts another one.
UNAVAILABLE = 75


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--lease", type=float, default=2.0)
    parser.add_argument("--drain", type=float, default=10.0)
    parser.add_argument("--worker-id")
    parser.add_argument("--clock-offset", type=float, default=0.0)
    parser.add_argument("--partitions", type=int, default=64)
    parser.add_argument("--gate", type=Path, help="a file; see chaos.gate")
    parser.add_argument("--gated", help="the id of the instance that is held there")
    return parser.parse_args()


def shift(seconds: float) -> None:
    """Have this process' wall clock wrong by so many seconds."""
    right, right_ns = time.time, time.time_ns
    nanoseconds = int(seconds * 1e9)

    def wrong() -> float:
        return right() + seconds

    def wrong_ns() -> int:
        return right_ns() + nanoseconds

    time.time, time.time_ns = wrong, wrong_ns


def main(given: argparse.Namespace) -> int:
    if given.clock_offset:
        shift(given.clock_offset)  # before anything that may keep the functions is imported
    import anyio

    from chaos import effects, gate, messengers, workflows
    from chaos.publishing import Recorder
    from perdure import App, StoreUnavailable
    from simulation import programs

    os.environ[workflows.VARIABLE] = given.url
    faulthandler.register(signal.SIGUSR1)  # where it hangs, should it be asked
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    app = App(
        given.url,
        workflows=[workflows, messengers, programs.program],
        lease=given.lease,
        drain=given.drain,
        worker_id=given.worker_id,
        retry=workflows.RETRY,
        partitions=given.partitions,
        publisher=Recorder(Path(os.environ[effects.VARIABLE]).parent),
    )
    if given.gate is not None:
        gate.install(app, given.gated, given.gate)
    try:
        anyio.run(app.run, backend=given.backend)
    except StoreUnavailable as error:
        print(f"unavailable: {error}", flush=True)
        return UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main(options()))
