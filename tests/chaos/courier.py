"""A client that accepts events, and dies before it has offered them to anybody: `python -m chaos.courier ...`."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Sequence
from typing import Any

import anyio

from chaos.feeds import SOURCE
from perdure import App, StoreUnavailable


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    return parser.parse_args()


async def main(given: argparse.Namespace) -> None:
    app = App(given.url, workflows=[], worker=False)
    accepted = 0

    async def offer(offers: Sequence[Any]) -> None:
        nonlocal accepted
        accepted += len(offers)
        if accepted == given.count:
            os.kill(os.getpid(), signal.SIGKILL)
        raise StoreUnavailable("the process dies soon")

    async with app, anyio.create_task_group() as group:
        store: Any = app._resources().store
        store.offer = offer
        for number in range(given.first, given.first + given.count):
            data = {"key": given.key, "number": number}
            event = {"id": f"{given.key}-{number}", "source": SOURCE, "type": "chaos.paid", "data": data}
            group.start_soon(app.deliver, event)


if __name__ == "__main__":
    given = options()
    anyio.run(main, given, backend=given.backend)
