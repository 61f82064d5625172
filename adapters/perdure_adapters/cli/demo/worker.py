"""The process that gets killed: python -m perdure_adapters.cli.demo.worker asyncio|trio"""

from __future__ import annotations

import os
import sys
import threading

import anyio

from perdure_adapters.cli.demo.place import Place


def _die_with_parent() -> None:
    """The parent holds the other end of stdin; however it ends, no worker is left behind."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def main() -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    anyio.run(Place.from_environment().app().run, backend=sys.argv[1])


if __name__ == "__main__":
    main()
