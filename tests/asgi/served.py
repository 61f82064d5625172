"""What Hypercorn is given in a process of its own: `asgi.served:asgi`."""

from __future__ import annotations

import os

from asgi.shop import WORKFLOWS
from perdure import App
from perdure_adapters.asgi import ingress

app = App(os.environ["PERDURE_URL"], workflows=WORKFLOWS, lease=1.0)
asgi = ingress(app, lifespan=True)
