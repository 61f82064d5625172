"""CloudEvents on their way out: how they are made, and where in the outbox they go."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Mapping
from datetime import datetime

import orjson
from attrs import evolve

from perdure.cloudevents.format import parse
from perdure.errors import InvalidInput
from perdure.ports import Emission, Mail

#: Attributes that are no extensions.
_TAKEN = frozenset(("specversion", "type", "data", "data_base64", "datacontenttype"))
#: What CloudEvents allows an extension to be called.
_NAME = re.compile(r"[a-z0-9]{1,64}")


def emission(
    type: str,
    data: object,
    *,
    source: str,
    subject: str | None,
    id: str,
    time: datetime | None,
    extensions: Mapping[str, str | int | bool],
    now: int,
    max_payload: int,
) -> Emission:
    """Raises InvalidInput for what makes no CloudEvent. Its partition is still to be `placed`."""
    for name in extensions:
        if name in _TAKEN:
            raise InvalidInput(
                f"emit({name}=...): that is no extension; the type and the data are the first two arguments, and "
                "`specversion` and `datacontenttype` are perdure's to say"
            )
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"emit({name}=...): an extension of a CloudEvent is named in lower case letters and digits only"
            )
    binary = bytes(data) if isinstance(data, bytes | bytearray) else None
    if binary is not None and len(binary) > max_payload:
        raise InvalidInput(f"the data of event {id!r} takes {len(binary):,} bytes, {max_payload:,} at most")
    data = None if binary is not None else data
    fields = {**extensions, "id": id, "source": source, "type": type, "subject": subject, "time": time, "data": data}
    if subject is not None and (not isinstance(subject, str) or not subject):
        raise InvalidInput(f"emit(subject={subject!r}): give text, or leave it out")
    made = parse(fields, now=now, max_payload=max_payload)
    if binary is not None:
        del made["data"]
        made["data_base64"] = base64.b64encode(binary).decode()
    return Emission(id, _lane(subject if subject is not None else f"\0{source}\0{id}"), 0, orjson.dumps(made).decode())


def traced(
    extensions: Mapping[str, str | int | bool], trace: Mapping[str, str] | None
) -> Mapping[str, str | int | bool]:
    """With the extensions of the CloudEvents extension "distributed tracing", unless they are given."""
    return extensions if trace is None or "traceparent" in extensions else {**extensions, **trace}


def _lane(subject: str) -> str:
    """Events of one subject go out in order; those without any are each alone."""
    return hashlib.sha256(subject.encode()).hexdigest()[:32]


def partition_of(lane: str, partitions: int) -> int:
    """The partition whose owner sends what is in a lane."""
    return zlib.crc32(lane.encode()) % partitions


def place(mail: Mail, partitions: int) -> None:
    """Let the partition of each event follow from its lane."""
    mail.emissions = [evolve(one, partition=partition_of(one.lane, partitions)) for one in mail.emissions]
