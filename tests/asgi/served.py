"""What Hypercorn is given in a process of its own: `asgi.served:asgi`. PERDURE_LEASE: how soon others take over."""

from __future__ import annotations

import os

from asgi.shop import WORKFLOWS
from perdure import App
from perdure_adapters.asgi import ingress

app = App(os.environ["PERDURE_URL"], workflows=WORKFLOWS, lease=float(os.environ.get("PERDURE_LEASE", "60")))
asgi = ingress(app, lifespan=True)
