"""What perdure needs of a database: the `Store` port, and the rows that cross it.

A store's constructor takes `(url, service)`; it is found by the URL's scheme among the entry points
`perdure.stores`. All times are microseconds since 1970 UTC, by the database's clock. A store raises
`StoreUnavailable` for anything that may pass (with `unknown=True` when a commit may have happened),
and never leaves half of a unit behind.
"""

from perdure.ports.rows import (
    Arrival,
    Buffered,
    Census,
    Due,
    Filter,
    Holding,
    InstanceRow,
    Mark,
    Member,
    Parcel,
    Request,
    Stored,
    Taker,
)
from perdure.ports.store import Guest, Store, Watcher
from perdure.ports.transaction import Refused, Transaction
from perdure.ports.units import (
    QUEUED,
    STUCK,
    Box,
    Emission,
    EventRow,
    Letter,
    Mail,
    NewInstance,
    Outcome,
    Post,
    Projection,
    Publication,
    Unit,
    together,
)

__all__ = [
    "QUEUED",
    "STUCK",
    "Arrival",
    "Box",
    "Buffered",
    "Census",
    "Due",
    "Emission",
    "EventRow",
    "Filter",
    "Guest",
    "Holding",
    "InstanceRow",
    "Letter",
    "Mail",
    "Mark",
    "Member",
    "NewInstance",
    "Outcome",
    "Parcel",
    "Post",
    "Projection",
    "Publication",
    "Refused",
    "Request",
    "Store",
    "Stored",
    "Taker",
    "Transaction",
    "Unit",
    "Watcher",
    "together",
]
