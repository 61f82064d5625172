"""For tests of workflows: run them in no time, with fakes, with crashes, in hostile worlds, on recorded histories.

`perdure.testing.contract` is the suite that every store passes; `perdure.testing.memory` one such store.
"""

from typing import TYPE_CHECKING, Any

from perdure.testing.crashing import crash_everywhere
from perdure.testing.fakes import Call, fake
from perdure.testing.replaying import replay
from perdure.testing.running import run

if TYPE_CHECKING:
    from perdure.testing.simulation import simulate

__all__ = ["Call", "crash_everywhere", "fake", "replay", "run", "simulate"]


def __getattr__(name: str) -> Any:
    """`simulate` needs trio, so it is imported when it is asked for."""
    if name == "simulate":
        from perdure.testing.simulation import simulate

        return simulate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
