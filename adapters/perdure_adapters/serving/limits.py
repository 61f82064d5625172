"""What a client may take of the server."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, gt


@frozen(kw_only=True)
class Limits:
    """Times are in seconds, sizes in bytes.

    - `idle`: a connection is closed that takes longer to send a request's headers, or to begin the next one.
    - `body`: a request is refused with 408 when it has been waited for this long for its body.
    - `requests`: how many may be under way; further ones are refused with 503. Health checks are not counted.
    - `headers`: the most that a request's line and headers may take.
    - `backlog`: connections that the system keeps until they are accepted.
    - `stuck`: on Linux, a connection is given up whose client has taken nothing of a response for this long.
    """

    idle: float = field(default=10.0, validator=gt(0))
    body: float = field(default=60.0, validator=gt(0))
    requests: int = field(default=2000, validator=ge(1))
    headers: int = field(default=16_384, validator=ge(256))
    backlog: int = field(default=1024, validator=ge(1))
    stuck: float = field(default=30.0, validator=gt(0))
