"""What docstrings say of parameters, in the styles people write."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.codec import Parameters
from perdure.codec.schemas import input_schema
from perdure_adapters.docstrings import parameter_docs, summary


def google(a: int, b: int = 1, *args: int, **more: int) -> int:
    """Add it up.

    With care: all of it,
    twice.

    Args:
        a: the first, which
            goes on
        b (int, optional): the second.
        *args: others
        **more: named ones
        nobody: is no parameter

    Returns:
        The sum.

    Raises:
        ValueError: never
    """
    return a


def numpy(a: int, b: int = 1, *args: int, **more: int) -> int:
    """Add it up.

    With care: all of it,
    twice.

    Parameters
    ----------
    a : int
        the first, which
        goes on
    b : int, optional
        the second.
    *args
        others
    **more
        named ones

    Returns
    -------
    int
        The sum.
    """
    return a


def sphinx(a: int, b: int = 1, *args: int, **more: int) -> int:
    """Add it up.

    With care: all of it,
    twice.

    :param a: the first, which
        goes on
    :param int b: the second.
    :param \\*args: others
    :param more: named ones
    :returns: The sum.
    :raises ValueError: never
    """
    return a


@pytest.mark.parametrize("fn", [google, numpy, sphinx])
def test_styles(fn: Any) -> None:
    assert parameter_docs(fn) == {
        "a": "the first, which goes on",
        "b": "the second.",
        "args": "others",
        "more": "named ones",
    }
    assert summary(fn) == "Add it up.\n\nWith care: all of it,\ntwice."
    schema = input_schema(Parameters(fn, "function 'f'"), docs=parameter_docs(fn))
    assert schema["properties"]["a"]["description"] == "the first, which goes on"
    assert schema["properties"]["b"]["description"] == "the second."


def test_several_at_once() -> None:
    def fn(a: int, b: int) -> None:
        """Text.

        Parameters
        ----------
        a, b : int
            both
        """

    assert parameter_docs(fn) == {"a": "both", "b": "both"}


def test_text_alone_is_the_summary() -> None:
    def fn(a: int) -> None:
        """Only text: with a colon.

        Note: a is nothing special.
        """

    assert parameter_docs(fn) == {}
    assert summary(fn) == "Only text: with a colon.\n\nNote: a is nothing special."


def test_nothing_at_all() -> None:
    def fn(a: int) -> None: ...

    assert parameter_docs(fn) == {}
    assert summary(fn) == ""


def test_what_cannot_be_read_is_left_as_it_is() -> None:
    def fn(a: int) -> None:
        """Broken.

        :param
        """

    assert parameter_docs(fn) == {}
    assert summary(fn).startswith("Broken.")
