"""Sockets that listen: at addresses, in the file system, or inherited."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from typing import Self

_ADVICE = {
    errno.EADDRINUSE: "somebody listens there already; stop them, or choose another port",
    errno.EACCES: "you may not; choose a port above 1023, or a place that you may write to",
    errno.EADDRNOTAVAIL: "this machine has no such address; 0.0.0.0 is all that it has",
    errno.ENOENT: "there is no such directory; make it first",
    errno.EBADF: "no such file descriptor was handed over; check who starts this process",
    errno.ENOTSOCK: "this file descriptor is no socket; check who starts this process",
}


class Listening:
    """Sockets that listen. Leaving it closes them, and removes what they left in the file system."""

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        self.sockets = list(sockets)
        self._files: dict[str, int] = {}  # with the inode, as another process may have taken the place meanwhile

    @classmethod
    def at(cls, bind: str | Sequence[str]) -> Self:
        """At each HOST:PORT, [IPV6]:PORT, unix:PATH or fd://NUMBER.

        Raises ValueError for what is none of these, and OSError where it is not possible.
        """
        self = cls()
        with ExitStack() as stack:
            stack.enter_context(self)
            for place in [bind] if isinstance(bind, str) else bind:
                self._add(place)
            stack.pop_all()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
        for path, inode in self._files.items():
            with suppress(FileNotFoundError):
                if os.stat(path).st_ino == inode:
                    os.unlink(path)

    @property
    def local(self) -> bool:
        """Whether nobody on other machines can reach them."""
        return all(_local(each) for each in self.sockets)

    def close(self) -> None:
        """The sockets only: others may have them too, and go on."""
        for each in self.sockets:
            each.close()

    def _add(self, place: str) -> None:
        try:
            if place.startswith("unix:"):
                self.sockets.append(_unix(place[5:]))
                self._files[place[5:]] = os.stat(place[5:]).st_ino
            elif place.startswith("fd://"):
                self.sockets.append(_inherited(place))
            else:
                self.sockets += _tcp(*_host_and_port(place))
        except socket.gaierror as error:
            raise OSError(
                f"cannot listen on {place}: there is no such host ({error.strerror}); check its name"
            ) from error
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, "see the system's documentation")
            raise OSError(f"cannot listen on {place}: {error.strerror or error}; {advice}") from error


def url(listener: socket.socket, *, secure: bool) -> str:
    """Where it listens, for people."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{'https' if secure else 'http'}://{host}:{name[1]}"


def _local(listener: socket.socket) -> bool:
    return listener.family == socket.AF_UNIX or ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def _host_and_port(place: str) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (
        not colon
        or not bare
        or not (port.isascii() and port.isdigit())
        or int(port) > 65535
        or (":" in host and bare == host)
    ):
        raise ValueError(f"{place!r} is no address; give HOST:PORT, [IPV6]:PORT, unix:PATH or fd://NUMBER")
    return bare, int(port)


def _tcp(host: str, port: int) -> list[socket.socket]:
    """One for each address that the host's name stands for, all with one port."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, address[:2], address[2:]) for family, _, _, _, address in found))
    sockets: list[socket.socket] = []
    try:
        for family, (name, wanted), rest in addresses:
            sockets.append(one := socket.socket(family, socket.SOCK_STREAM))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if family == socket.AF_INET6 and len(addresses) > 1:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((name, wanted or port, *rest))
            port = one.getsockname()[1]
            one.listen()
    except BaseException:
        for each in sockets:
            each.close()
        raise
    return sockets


def _unix(path: str) -> socket.socket:
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _left_behind(path):
            os.unlink(path)
        one.bind(path)
        one.listen()
    except BaseException:
        one.close()
        raise
    return one


def _left_behind(path: str) -> bool:
    """Whether a process that was killed has left its socket there."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
    return False


def _inherited(place: str) -> socket.socket:
    if not place[5:].isdigit():
        raise ValueError(f"{place!r} is no address; give the number of a file descriptor, as in fd://3")
    one = socket.socket(fileno=int(place[5:]))
    one.listen()
    return one


def give_up_stuck(listener: socket.socket, seconds: float) -> None:
    """Its connections end when a client has taken nothing for so long. Only Linux can do that."""
    if sys.platform == "linux" and listener.family != socket.AF_UNIX:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
