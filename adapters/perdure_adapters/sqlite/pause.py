"""A time in which a connection's thread stands still, so that another connection of its process may write."""

from __future__ import annotations

import threading
import time

#: Who waits for SQLite's lock looks for it every 100 ms at most; nobody hands it over.
_LOOK = 0.11
#: Seconds for which keeping the lock keeps nobody waiting for long; and the part of longer ones that others get.
_SHORT, _SHARE = 0.05, 0.25


class Pause:
    """Comes from `ConnectionThread.pause`; who has it must end it. From any thread, and as often as one likes."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def end(self) -> None:
        self._over.set()

    def wait(self, *, considerate: bool) -> None:
        """Until its end; and, if there are others who may want to write, until they had their chance."""
        begun = time.monotonic()
        self._over.wait()
        held = time.monotonic() - begun
        if considerate and held > _SHORT:
            time.sleep(max(_LOOK, _SHARE * held))
