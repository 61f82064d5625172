"""Steps that are undone should their workflow fail, or be cancelled."""

from __future__ import annotations

from contextlib import suppress

from perdure import Retry, activity, activity_info, compensate, race, sleep, timeout
from simulation.programs.kinds import KINDS, kind


class Tools:
    """Without them, some things cannot be undone."""

    mended = False


#: No number of crashes makes it give up.
PATIENT = Retry(attempts=25, initial=0.1, backoff=1.0, max_duration=None)
#: A compensation that always fails gives up soon.
BRIEF = Retry(attempts=8, initial=0.1, backoff=1.0, max_duration=None)


def undo(key: str, how: str) -> None:
    """`how` it goes: "" well, "first" not at first, "always" not before the application has mended what is wrong."""
    if how == "first" and activity_info().attempt == 1:
        raise ConnectionError(f"{key} is not undone at first")
    if how == "always" and not Tools.mended:
        raise ConnectionError(f"{key} cannot be undone")


@activity(retry=BRIEF)
async def hold(key: str, how: str) -> str:
    return f"{key}/{how}"


@hold.compensation
async def unhold(key: str, how: str, *, result: str) -> None:
    if result != f"{key}/{how}":
        raise AssertionError(result)
    undo(key, how)


@activity(retry=BRIEF)
def seize(key: str, how: str) -> int:
    return len(key)


@seize.compensation
def unseize(key: str, how: str) -> None:
    undo(key, how)


@activity(retry=BRIEF)
async def erase(key: str, how: str) -> None:
    undo(key, how)


@activity(retry=BRIEF)
async def unlucky(key: str) -> None:
    """There is nothing to undo of what has failed."""
    raise PermissionError(key)


@unlucky.compensation
async def never(key: str) -> None:
    raise AssertionError(f"{key} was not done, and is undone")


KINDS["hold"] = hold
KINDS["seize"] = seize


@kind
async def noted(key: str, how: str) -> str:
    await compensate(erase, key, how)
    return "noted"


@kind
async def missed(key: str) -> str:
    with suppress(Exception):
        await unlucky.options(retry=Retry(attempts=1))(key)
    return "missed"


@kind
async def held_in_time(key: str, how: str, seconds: float) -> str:
    """Given up in the middle, perhaps."""
    with suppress(TimeoutError):
        async with timeout(seconds):
            await hold(key, how)
            await seize(key, how)
    return "over"


@kind
async def held_or_not(key: str, how: str, seconds: float) -> str:
    """Only one of them wins; who loses may have done it as well."""
    await race(hold=hold(key, how), seize=seize(key, how), sleep=sleep(seconds))
    return "over"
