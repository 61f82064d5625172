"""Waiting for CloudEvents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar, overload

import orjson
from typing_extensions import TypeForm

from perdure.codec import Codec, codec_for
from perdure.definitions.deadlines import limit
from perdure.durations import Seconds
from perdure.errors import InvalidInput
from perdure.machine.messages import WaitEvent
from perdure.mail.envelopes import check_type, encoded, payload
from perdure.operations.require import workflow_machine

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_KNOWN = frozenset(
    ("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64")
)


class Event(Generic[T_co]):
    """A CloudEvent. `time` is aware; `extensions` are all attributes that CloudEvents itself does not name."""

    __slots__ = ("data", "dataschema", "extensions", "id", "source", "subject", "time", "type")

    data: T_co

    def __init__(self, fields: Mapping[str, Any], codec: Codec) -> None:
        self.data = codec.decode(encoded(fields.get("data")), f"the data of the event {fields['type']!r}")
        self.id: str = fields["id"]
        self.source: str = fields["source"]
        self.type: str = fields["type"]
        self.subject: str | None = fields.get("subject")
        self.time: datetime = datetime.fromisoformat(fields["time"])
        self.dataschema: str | None = fields.get("dataschema")
        self.extensions: Mapping[str, str | int | bool] = {
            name: value for name, value in fields.items() if name not in _KNOWN
        }

    def __repr__(self) -> str:
        return f"<event {self.type!r} {self.id!r} from {self.source!r}: {self.data!r}>"


@overload
async def wait_event(
    type: str, /, *, match: Mapping[str, object] | None = None, timeout: Seconds | None = None
) -> Event[Any]: ...
@overload
async def wait_event(
    type: str, data: TypeForm[T], /, *, match: Mapping[str, object] | None = None, timeout: Seconds | None = None
) -> Event[T]: ...
async def wait_event(
    type: str, data: Any = Any, /, *, match: Mapping[str, object] | None = None, timeout: Seconds | None = None
) -> Event[Any]:
    """Wait for a CloudEvent of this type, whose data has the type `data`.

    `match` maps dotted paths into the data to values, compared as JSON; all must fit. With it, an event is found that
    came up to `App(event_buffer=...)` before. Raises TimeoutError after `timeout` seconds, and
    InvalidInput for data of another type.
    """
    machine = workflow_machine("wait_event")
    codec = codec_for(data, f"the data of events of type {check_type(type)!r}")
    if match is not None and not isinstance(match, Mapping):
        raise InvalidInput(f"wait_event(match={match!r}): give a dict of dotted paths into the data, and values")
    command = WaitEvent(type, {_path(path): _json(path, value) for path, value in (match or {}).items()})
    async with limit(timeout, f"no event of type {type!r} came"):
        machine.issue(command)
        fields = await command
    return Event(fields, codec)


def _path(path: object) -> str:
    if not isinstance(path, str) or not path or not all(path.split(".")):
        raise InvalidInput(f"wait_event(match={{{path!r}: ...}}): give a dotted path into the data, like 'order.id'")
    return path


def _json(path: str, value: object) -> str:
    text = payload(value, f"wait_event(match={{{path!r}: ...}})")
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS).decode()
