"""An ASGI application, and usually its worker, as a process: sockets, signals, draining. Needs `perdure[serve]`."""

from __future__ import annotations

from importlib import import_module

try:
    import_module("hypercorn")
except ModuleNotFoundError as error:
    raise ImportError(f"serve needs {error.name}, which is not installed; install perdure[serve]") from error

from perdure_adapters.serving.limits import Limits
from perdure_adapters.serving.server import serve

__all__ = ["Limits", "serve"]
