"""python -m using.serving URL BACKEND: a worker, until it is stopped."""

from __future__ import annotations

import sys

import anyio

from perdure import App
from using.workflows import ALL, where

where["url"] = sys.argv[1]
anyio.run(App(sys.argv[1], workflows=ALL, lease=1.0, partitions=8).run, backend=sys.argv[2])
