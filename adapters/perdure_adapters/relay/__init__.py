"""Publishers for the outbox. HttpPublisher needs `perdure[relay]`, NatsPublisher needs `perdure[nats]`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perdure_adapters.relay.http import HttpPublisher
    from perdure_adapters.relay.nats import NatsPublisher

__all__ = ["HttpPublisher", "NatsPublisher"]

#: Where each is, and the extra that brings its library.
_HOMES = {
    "HttpPublisher": ("perdure_adapters.relay.http", "perdure[relay]"),
    "NatsPublisher": ("perdure_adapters.relay.nats", "perdure[nats]"),
}


def __getattr__(name: str) -> Any:
    # Looked up when it is asked for: nobody needs the library of the other.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _HOMES[name]
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise ImportError(f"{name} needs {error.name}, which is not installed; install {extra}") from error
