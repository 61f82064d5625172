"""SQLite's errors in perdure's words."""

from __future__ import annotations

import sqlite3

from perdure.errors import Conflict, StoreError, StoreUnavailable

#: Primary result codes that may pass: BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL.
_PASSING = frozenset({5, 6, 7, 8, 9, 10, 13, 14, 15})
#: TOOBIG, CONSTRAINT, MISMATCH: this row will never fit.
_REFUSED = frozenset({18, 19, 20})
#: After these the connection is opened anew: READONLY, IOERR, CANTOPEN, NOTADB.
_REOPEN = frozenset({8, 10, 14, 26})


def code(error: sqlite3.Error) -> int:
    """The primary result code, 0 where Python has set none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def needs_reopening(error: sqlite3.Error) -> bool:
    return code(error) in _REOPEN


def translate(error: sqlite3.Error, path: str, *, unknown: bool = False) -> StoreError:
    """`unknown`: the error came from COMMIT itself."""
    if code(error) in _PASSING:
        return StoreUnavailable(
            f"the database {path} cannot be used just now ({error}); check its disk, its permissions and who "
            "locks it: workers go on by themselves once it works again",
            unknown=unknown,
        )
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
        return Conflict(f"the database {path} holds this row already ({error}); another writer was faster")
    if code(error) in _REFUSED:
        return StoreError(f"the database {path} refused a row ({error}); this is not retried")
    return StoreError(f"the database {path} failed: {error}; is it a perdure database, and undamaged?")
