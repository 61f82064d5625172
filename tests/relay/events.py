"""Events as a relay makes them of the outbox."""

from __future__ import annotations

import base64
import uuid
from typing import Any

from perdure import Event
from perdure.codec import codec_for


def event(data: Any = None, **attributes: Any) -> Event[Any]:
    """With a fresh id, unless one is given."""
    fields = {
        "specversion": "1.0",
        "id": uuid.uuid4().hex,
        "source": "/orders",
        "type": "order.shipped",
        "time": "2026-11-21T18:00:00.000005+00:00",
        **attributes,
    }
    if isinstance(data, bytes):
        return Event({**fields, "data": base64.b64encode(data).decode()}, codec_for(bytes, "data"))
    return Event({**fields, "data": data}, codec_for(Any, "data"))


#: Text that no header can hold as it is.
HARD = 'a "b" 100% é €\t😀 x'

#: An event with all that can be said about one.
FULL: dict[str, Any] = {
    "id": "é/1 %41",
    "source": "/shop?a=b&c=ü",
    "type": "order.shipped",
    "subject": HARD,
    "dataschema": "https://example.com/schema#1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=1, b=2",
    "region": "straße",
    "count": 7,
    "below": -7,
    "express": True,
    "gift": False,
}
