"""MySQL's and MariaDB's errors in perdure's words."""

from __future__ import annotations

import ssl

from pymysql.err import MySQLError

from perdure.errors import Conflict, PerdureError, StoreError, StoreUnavailable

DUPLICATE = 1062
LOCKED = frozenset({1205, 3572})  # lock wait timeout; MySQL's NOWAIT
#: Deadlock, and MariaDB's snapshot isolation: all is rolled back, and doing it again may work.
AGAIN = frozenset({1213, 1020})

#: What may pass. Out of connections, memory, threads or disk, interrupted, shutting down, read-only,
#: connection lost in one of many ways, a cluster that is not ready.
_PASSING = frozenset(
    {1020, 1021, 1026, 1030, 1037, 1038, 1040, 1041, 1047, 1053, 1077, 1079, 1114, 1129, 1135, 1152, 1158, 1159, 1160}
    | {1161, 1180, 1184, 1203, 1205, 1213, 1226, 1290, 1317, 1836, 1927, 1969, 2002, 2003, 2006, 2013, 2014, 2055}
    | {3024, 3100, 3101, 3168, 3572, 4031}
)
#: Of these, those by which a connection says that it is gone: what was sent before may have happened.
_CUT = frozenset({1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003, 2006, 2013, 2014, 2055, 4031})
#: Too long, out of range, null, not to be encoded, a CHECK, larger than a packet: this row will never fit.
_REFUSED = frozenset({1048, 1118, 1153, 1264, 1265, 1292, 1364, 1366, 1406, 1411, 1441, 3140, 3141, 3819, 3854, 4025})
#: No such table, no such column.
_SCHEMA = frozenset({1054, 1146})
#: Wrong password or host, no rights, no such plugin; the unknown database has a text of its own.
_DENIED = frozenset({1044, 1045, 1130, 1142, 1143, 1227, 1251, 1698, 2059, 3118, 3159})
_NO_DATABASE = 1049


def code(error: BaseException) -> int:
    """The server's number, or the driver's; 0 where neither has given one."""
    first = error.args[0] if isinstance(error, MySQLError) and error.args else 0
    return first if isinstance(first, int) else 0


def cut(error: BaseException) -> bool:
    """Whether the connection broke: the server may have gone on with what it was sent."""
    if isinstance(error, MySQLError):
        return code(error) in _CUT or code(error) == 0  # without a number: the driver's "not connected"
    return isinstance(error, OSError | EOFError)  # TimeoutError is an OSError


def translate(error: Exception, place: str, *, doubt: bool = False, opening: bool = False) -> Exception:
    """`doubt`: a COMMIT was on its way.

    Only data that the server refuses is refused for good. Whatever else it says of a database that has
    worked before may pass, and must not be taken for the fault of an instance; while `opening`, it is for
    the one who gave the URL.
    """
    if isinstance(error, PerdureError):
        return error
    number = code(error)
    text = _text(error)
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return StoreError(f"the database {place} is not to be trusted ({text}); give ?ssl_ca= with its certificate")
    if cut(error) or number in _PASSING:
        return _unavailable(place, text, doubt=doubt)
    if number == DUPLICATE:
        return Conflict(f"the database {place} holds this row already ({text}); another writer was faster")
    if number in _REFUSED or isinstance(error, OverflowError | UnicodeError):
        return StoreError(f"the database {place} refused a row ({text}); this is not retried")
    if not opening and isinstance(error, MySQLError):
        return _unavailable(place, text, doubt=doubt)
    if number in _SCHEMA:
        return StoreError(f"the database {place} lacks perdure's tables ({text}); run `perdure migrate`")
    if number == _NO_DATABASE:
        return StoreError(f"there is no database {place} ({text}); make it with `create database`")
    if number in _DENIED:
        return StoreError(f"the database {place} does not let us in ({text}); check the URL and the user's rights")
    if isinstance(error, MySQLError):
        return StoreError(f"the database {place} failed: {text}; is it a perdure database, and undamaged?")
    if isinstance(error, MemoryError):
        return StoreUnavailable(f"there is no memory left to use the database {place} with", unknown=doubt)
    return error


def _text(error: Exception) -> str:
    if isinstance(error, MySQLError) and len(error.args) == 2:
        cause = f", {error.__cause__}" if isinstance(error.__cause__, OSError) and str(error.__cause__) else ""
        return f"{error.args[0]}: {error.args[1]}{cause}"
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _unavailable(place: str, text: str, *, doubt: bool) -> StoreUnavailable:
    return StoreUnavailable(
        f"the database {place} cannot be used just now ({text}); check that it runs and can be reached, and who "
        "locks it: workers go on by themselves once it works again",
        unknown=doubt,
    )
