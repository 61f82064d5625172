"""What the client's libraries log of a request, without its key: a service may repeat it in its headers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from perdure_adapters.llm.keys import Secret

_LOGGERS = (
    "openai._base_client",
    "httpx2",
    "httpcore2.connection",
    "httpcore2.http11",
    "httpcore2.http2",
    "httpcore2.proxy",
    "httpcore2.socks",
)

_used: ContextVar[Secret] = ContextVar("perdure_llm_key")


class _Hiding(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        secret = _used.get(None)
        if secret is not None:
            record.msg, record.args = secret.hidden(record.getMessage()), ()
        return True


@cache
def _install() -> None:
    for name in _LOGGERS:  # a filter does not see what other loggers hand on
        logging.getLogger(name).addFilter(_Hiding())


@contextmanager
def hiding(secret: Secret) -> Iterator[None]:
    """What is logged in the block does not show it."""
    _install()
    token = _used.set(secret)
    try:
        yield
    finally:
        _used.reset(token)
