"""SQLite's errors in perdure's words."""

from __future__ import annotations

import sqlite3

from perdure.errors import Conflict, PerdureError, StoreError, StoreUnavailable

#: Primary result codes that may pass: BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL.
_PASSING = frozenset({5, 6, 7, 8, 9, 10, 13, 14, 15})
#: TOOBIG, CONSTRAINT, MISMATCH: this row will never fit.
_REFUSED = frozenset({18, 19, 20})
#: After these the connection is opened anew: READONLY, IOERR, CANTOPEN, NOTADB.
_REOPEN = frozenset({8, 10, 14, 26})


def code(error: sqlite3.Error) -> int:
    """The primary result code, 0 where Python has set none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def may_pass(error: sqlite3.Error) -> bool:
    return code(error) in _PASSING


def needs_reopening(error: sqlite3.Error) -> bool:
    return code(error) in _REOPEN


def translate(error: sqlite3.Error, path: str, *, unknown: bool = False) -> StoreError:
    """`unknown`: the error came from COMMIT itself."""
    if may_pass(error):
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


def as_store_error(error: Exception, path: str) -> Exception:
    """perdure's own errors as they are, and all others in its words."""
    if isinstance(error, PerdureError):
        return error
    if isinstance(error, sqlite3.Error):
        return translate(error, path)
    if isinstance(error, MemoryError):
        return StoreUnavailable(f"there is no memory left to use the database {path} with")
    # A value that SQLite cannot take: a lone surrogate, a number beyond 64 bits ...
    return StoreError(f"the database {path} cannot take this ({type(error).__name__}: {error}); this is not retried")
