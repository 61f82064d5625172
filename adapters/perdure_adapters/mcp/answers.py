"""What a tool answers: data, or an error that says what to do."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import mcp_types as t
import orjson
from mcp.shared.exceptions import MCPError

from perdure import InstanceNotFound, InvalidInput, NotCancellable, StoreUnavailable, UsageError

T = TypeVar("T")

logger = logging.getLogger("perdure.mcp")

#: The key in `_meta` of how many milliseconds to wait before asking again.
RETRY = "retryAfterMs"
OUTAGE = "the database is out of reach just now; nothing is lost, try again in a moment"
CLOSED = "this server is not serving yet, or not any more; try again in a moment"
GONE = "there is no such instance any more"
BROKEN = "something went wrong here; the log of the server says what"


class Refused(Exception):
    """Raised to be answered with this text, as a tool's error. `retry` is in milliseconds."""

    def __init__(self, text: str, *, retry: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.retry = retry


def given(data: dict[str, Any]) -> t.CallToolResult:
    """Structured data; for clients that know none, as text too."""
    text = orjson.dumps(data).decode()
    return t.CallToolResult(content=[t.TextContent(text=text)], structured_content=data)


def refused(text: str, retry: int | None = None) -> t.CallToolResult:
    meta: Any = None if retry is None else {RETRY: retry}
    text = writable(text)
    return t.CallToolResult(content=[t.TextContent(text=text)], is_error=True, _meta=meta)


def writable(text: str) -> str:
    """Halves of characters, from callers or out of names of files, cannot be sent."""
    return text.encode("utf-8", "backslashreplace").decode()


async def answered(tool: str, call: Awaitable[T]) -> T | t.CallToolResult:
    """What `call` gives; what it raises as a tool's error, and nothing of the insides."""
    try:
        return await call
    except MCPError:
        raise
    except Refused as error:
        return refused(error.text, error.retry)
    except (InvalidInput, NotCancellable) as error:
        return refused(str(error))
    except InstanceNotFound:  # it was there a moment ago
        return refused(GONE)
    except StoreUnavailable as error:
        logger.warning("a call of %s is answered with a refusal: %s", tool, error)
        return refused(OUTAGE, 1000)
    except UsageError as error:  # of the program around this, which has not opened the app, or has closed it
        logger.error("a call of %s is answered with a refusal: %s", tool, error)
        return refused(CLOSED, 1000)
    except Exception:
        logger.exception("a call of %s failed", tool)
        return refused(BROKEN)


@contextmanager
def protocol(method: str) -> Generator[None]:
    """As `answered`, for methods that are no tools: what is raised becomes an error of the protocol."""
    try:
        yield
    except MCPError:
        raise
    except Refused as error:
        raise MCPError(code=t.INVALID_PARAMS, message=writable(error.text)) from None
    except InvalidInput as error:
        raise MCPError(code=t.INVALID_PARAMS, message=writable(str(error))) from None
    except InstanceNotFound:
        raise MCPError(code=t.INVALID_PARAMS, message=GONE) from None
    except StoreUnavailable as error:
        logger.warning("%s is answered with an error: %s", method, error)
        raise MCPError(code=t.INTERNAL_ERROR, message=OUTAGE, data={RETRY: 1000}) from None
    except UsageError as error:
        logger.error("%s is answered with an error: %s", method, error)
        raise MCPError(code=t.INTERNAL_ERROR, message=CLOSED, data={RETRY: 1000}) from None
    except Exception:
        logger.exception("%s failed", method)
        raise MCPError(code=t.INTERNAL_ERROR, message=BROKEN) from None
