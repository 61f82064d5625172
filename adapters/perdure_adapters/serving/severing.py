"""The last resort against clients that do not go: their connections are shut under the server's hands."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Collection
from contextlib import suppress


def sever(names: Collection[object]) -> int:
    """Shut all connections of this process that were made to these names of sockets. How many there were.

    The server has no way to say that, and under trio it shields what it sends, from cancellation too.
    """
    return sum(_shut(int(name), names) for name in os.listdir("/dev/fd"))


def _shut(number: int, names: Collection[object]) -> bool:
    with suppress(OSError):  # it may be closed by now, or be no connection
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            with socket.socket(fileno=os.dup(number)) as one:
                if one.type == socket.SOCK_STREAM and _place(one) in names:
                    one.getpeername()
                    one.shutdown(socket.SHUT_RDWR)
                    return True
    return False


def places(listeners: Collection[socket.socket]) -> frozenset[object]:
    """The names that connections to them have."""
    return frozenset(_place(each) for each in listeners)


def _place(one: socket.socket) -> object:
    """A port, as a listener may stand for all addresses, or a path."""
    name = one.getsockname()
    return name[1] if isinstance(name, tuple) else name
