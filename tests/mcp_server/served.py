"""What processes of their own serve: `mcp_server.served:asgi`, and `python -m mcp_server.served BACKEND` over stdio."""

from __future__ import annotations

import logging
import os
import sys

import anyio

from mcp_server.shop import WORKFLOWS, offering
from perdure import App

app = App(os.environ["PERDURE_URL"], workflows=WORKFLOWS, lease=float(os.environ.get("PERDURE_LEASE", "60")))
server = offering(app)
asgi = server.asgi(lifespan=True)


async def main() -> None:
    print("opening")
    async with app:
        await server.run_stdio()
        print("closing", flush=True)
    print("the app is closed", file=sys.stderr, flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    anyio.run(main, backend=sys.argv[1])
