"""What random workflows call."""

from __future__ import annotations

from perdure import TerminalError, activity, activity_info, publish, send

#: What was added, by idempotency key: repeated attempts count once, as at a well-made service.
book: dict[str, tuple[str, int]] = {}


class Refused(TerminalError):
    pass


@activity
async def add(key: str, amount: int) -> int:
    book[activity_info().idempotency_key] = (key, amount)
    return amount


@activity
def multiply(number: int, by: int) -> int:
    return number * by


@activity
async def refuse() -> None:
    raise Refused("no")


@activity
async def come_again(failures: int) -> str:
    if activity_info().attempt <= failures:
        raise ConnectionError("come again")
    return "came"


@activity
async def tell(to: str | None, channel: str, count: int, failures: int = 0) -> str:
    """Send to one, or publish; the attempts that fail say nothing."""
    for number in range(count):
        if to is None:
            await publish(channel, number)
        else:
            await send(to, channel, number)
    if activity_info().attempt <= failures:
        raise ConnectionError("told in vain")
    return "told"
