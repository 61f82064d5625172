"""What an app is given: checked, with words that say what to give instead."""

from __future__ import annotations

import base64
import inspect
from importlib.metadata import entry_points
from typing import Any

import orjson

from perdure.durations import Seconds, seconds
from perdure.errors import InvalidInput, UsageError
from perdure.mail.envelopes import payload


def store_type(url: str) -> Any:
    scheme, found, _ = str(url).partition("://")
    if not found:
        raise UsageError(f"{url!r} is not a database URL; give sqlite:///file.db, say")
    for entry in entry_points(group="perdure.stores", name=scheme):
        try:
            return entry.load()
        except ModuleNotFoundError as error:
            raise UsageError(
                f"{scheme}:// needs the package {error.name}, which is not installed; install "
                f"perdure[{entry.module.rpartition('.')[2]}]"
            ) from None
    known = sorted({entry.name for entry in entry_points(group="perdure.stores")})
    raise UsageError(f"no store for {scheme}:// is installed; there are {', '.join(known) or 'none'}")


def count(what: str, value: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidInput(f"{what}={value!r}: give a whole number from 1 to {most:,}")
    return value


def lease_seconds(value: Seconds) -> float:
    lease = seconds(value, "lease")
    if lease < 0.1:
        raise InvalidInput(f"lease={value!r}: give at least 0.1 s; it must outlast a pause of the process")
    return lease


def checked_worker_id(value: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 64 or not value.isascii() or not value.isprintable():
        raise InvalidInput(f"worker_id={value!r}: give 1 to 64 printable characters of ASCII")
    return value


def able_publisher(publisher: Any) -> Any:
    publish = getattr(publisher, "publish", None)
    plain = inspect.isroutine(publish) and not inspect.iscoroutinefunction(publish)
    if publisher is not None and (isinstance(publisher, type) or plain or not callable(publish)):
        raise UsageError(
            f"publisher={publisher!r}: give an object with `async def publish(event)`, such as "
            "perdure_adapters.relay.HttpPublisher(url)"
        )
    return publisher


def dotted_path(path: str) -> str:
    if not isinstance(path, str) or not path or '"' in path or not all(path.split(".")):
        raise InvalidInput(f"find(input={{{path!r}: ...}}): give a dotted path into the arguments, like 'order.id'")
    return path


def json_text(path: str, value: object) -> str:
    return payload(value, f"find(input={{{path!r}: ...}})")


def cursor_of(created_at: int, id: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([created_at, id])).decode()


def after_cursor(cursor: str) -> tuple[int, str]:
    try:
        created_at, id = orjson.loads(base64.urlsafe_b64decode(cursor))
    except ValueError as error:
        raise InvalidInput(f"cursor={cursor!r} is none of perdure's; give the .cursor of a page, or None") from error
    return int(created_at), str(id)
