"""PostgreSQL's errors in perdure's words."""

from __future__ import annotations

import ssl

import asyncpg  # type: ignore[import-untyped]  # it has no types

from perdure.errors import Conflict, PerdureError, StoreError, StoreUnavailable, UsageError

#: Classes of SQLSTATE that may pass, though the statement certainly did nothing: transaction rollback,
#: insufficient resources, object not in the state required (locks, a starting server), read-only
#: transaction (a standby), and operator intervention but for what follows.
_PASSING = ("40", "53", "55", "25", "57")
#: Connection exceptions, and a server that goes away: what was sent before may have happened.
_CUT = ("08", "57P01", "57P02", "57P05")
#: Data, integrity, program limits: this row will never fit.
_REFUSED = ("21", "22", "23", "54")
#: Authentication, an unknown database, missing rights.
_DENIED = ("28", "3D", "42501")

#: What the driver, and what the server, says of options in a URL: unknown ones, bad values, missing files.
_MISUSE = (asyncpg.ClientConfigurationError, ValueError, FileNotFoundError, ssl.SSLError)
_BAD_OPTION = ("42704", "55P02", "3F000", "22023")

LOCK_NOT_AVAILABLE = "55P03"


def state(error: BaseException) -> str:
    """The SQLSTATE, empty where the server did not speak."""
    return str(getattr(error, "sqlstate", None) or "")


def cut(error: BaseException) -> bool:
    """Whether the answer was lost, so that what was asked for may have happened."""
    if isinstance(error, asyncpg.PostgresError):
        return state(error).startswith(_CUT)
    return isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError | EOFError)


def passing(error: BaseException) -> bool:
    """Whether the server says something that may pass."""
    return state(error).startswith(_PASSING)


def translate(
    error: Exception, place: str, *, lost: bool = False, committing: bool = False, opening: bool = False
) -> Exception:
    """`committing`: a commit was on its way, and is in doubt where the answer was `lost`.

    Only data that the server refuses is refused for good. Whatever else it says of a database that has
    worked before may pass, and must not be taken for the fault of an instance; while `opening`, it is for
    the one who gave the URL.
    """
    if isinstance(error, PerdureError):
        return error
    lost = lost or cut(error)
    code = state(error)
    if opening and (isinstance(error, _MISUSE) or code in _BAD_OPTION):
        return UsageError(
            f"the URL of the database {place} asks for what cannot be had ({_text(error)}); mend its options"
        )
    if code == "23505":
        return Conflict(f"the database {place} holds this row already ({_text(error)}); another writer was faster")
    refused = code.startswith(_REFUSED) and "NOTIFY" not in str(error)
    if not lost and (refused or isinstance(error, OverflowError | UnicodeError | ValueError | TypeError)):
        return StoreError(f"the database {place} refused a row ({_text(error)}); this is not retried")
    if opening and code in ("42P01", "42703"):
        return StoreError(f"the database {place} lacks perdure's tables ({_text(error)}); run `perdure migrate`")
    if opening and code == "3D000":
        return StoreError(f"there is no database {place} ({_text(error)}); make it with `create database`")
    if opening and code.startswith(_DENIED):
        return StoreError(
            f"the database {place} does not let us in ({_text(error)}); check the URL and the user's rights"
        )
    if opening and not lost and isinstance(error, asyncpg.PostgresError) and not code.startswith(_PASSING):
        return StoreError(f"the database {place} failed: {_text(error)}; is it a perdure database, and undamaged?")
    return StoreUnavailable(
        f"the database {place} cannot be used just now ({_text(error)}); check that it runs and can be reached"
        f"{'' if opening else ': workers go on by themselves once it works again'}",
        unknown=committing and lost,
    )


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ") if str(error) else type(error).__name__
