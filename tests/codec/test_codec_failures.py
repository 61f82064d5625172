"""Errors come back as themselves, or as ActivityFailed, and recording one never fails."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.codec_samples import Color
from perdure import errors
from perdure.codec import Failure

initialised: list[str] = []


class Declined(Exception):
    def __init__(self, card: str, amount: Decimal, *, retry_on: date | None = None) -> None:
        super().__init__(f"{card} declined")
        initialised.append(card)
        self.card = card
        self.amount = amount
        self.retry_on = retry_on


class OtherSignature(ValueError):
    def __init__(self) -> None:
        super().__init__("a", 1)

    def __str__(self) -> str:
        return f"other: {self.args}"


class Slotted(Exception):
    __slots__ = ("__hidden", "code")

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
        self.__hidden = code + 1

    def hidden(self) -> int:
        return self.__hidden


class DiskFull(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(28, "disk full", path)
        self.path = path


class Outer:
    class Nested(Exception):
        pass


class HasNew(Exception):
    def __new__(cls, *args: Any) -> Self:
        initialised.append("new")
        return super().__new__(cls, *args)


class ReadOnly(Exception):
    @property
    def code(self) -> int:
        return 5


@attrs.define
class AttrsError(Exception):
    code: int
    reason: str = "r"


@attrs.frozen
class FrozenError(errors.TerminalError):
    code: int
    when: datetime


@dataclasses.dataclass(frozen=True)
class DataError(Exception):
    code: int
    tags: tuple[str, ...] = ()


def again(error: BaseException) -> Any:
    failure = Failure.of(error)
    text = failure.to_json()
    assert len(text.encode()) < 64 * 1024
    assert "\0" not in text and "\\u0000" not in text.replace("\\\\", "")
    assert Failure.from_json(text) == failure
    rebuilt = Failure.from_json(text).rebuild()
    live = failure.rebuild()
    assert type(live) is type(rebuilt) and str(live) == str(rebuilt) and repr(live.args) == repr(rebuilt.args)
    return rebuilt


def caught(make: Callable[[], Any]) -> BaseException:
    try:
        make()
    except BaseException as error:
        return error
    raise AssertionError


ERRORS: list[BaseException] = [
    Exception(),
    ValueError("a", 1, 2.5, None, True),
    KeyError("missing"),
    KeyError(("a", 1)),
    FileNotFoundError(2, "No such file", "/x"),
    OSError("plain"),
    PermissionError(13, "no", "a", None, "b"),
    UnicodeDecodeError("utf-8", b"\xff\x00", 0, 1, "bad"),
    UnicodeEncodeError("ascii", "é", 0, 1, "bad"),
    StopIteration(5),
    SystemExit(3),
    KeyboardInterrupt(),
    SyntaxError("bad", ("f.py", 1, 2, "x y", 1, 3)),
    ModuleNotFoundError("no x", name="x", path="/p"),
    AttributeError("a"),
    TimeoutError("slow"),
    caught(lambda: 1 / 0),
    caught(lambda: json.loads("{")),
    Declined("visa", Decimal("1.50"), retry_on=date(2024, 1, 1)),
    OtherSignature(),
    Slotted(4),
    DiskFull("/x"),
    Outer.Nested("n"),
    ReadOnly("a"),
    AttrsError(4),
    FrozenError(4, datetime(2024, 1, 1, tzinfo=UTC)),
    DataError(4, ("a", "b")),
    Exception(b"\x00", {1, 2}, frozenset((1,)), (1, (2,)), [1], {"a": 1}, {1: 2, "$": 3}, {"$": "tuple"}),
    Exception(timedelta(days=1), Decimal("1.0"), UUID(int=1), Color.RED, datetime(2024, 1, 1), date(2024, 1, 1)),
    Exception(2**70, -(2**70), math.inf),
    Exception("x" * 20_000),
    errors.ActivityFailed("m", type="gone:Gone"),
    errors.NonDeterminism("m", history="h", code="c", where="w"),
    errors.WorkflowCancelled("m", reason="r"),
    errors.StoreUnavailable("m", unknown=True),
    errors.InvalidInput("m"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_comes_back(error: BaseException) -> None:
    rebuilt = again(error)
    assert type(rebuilt) is type(error)
    assert str(rebuilt) == str(error)
    assert rebuilt.args == error.args
    assert [type(arg) for arg in rebuilt.args] == [type(arg) for arg in error.args]
    assert rebuilt.__dict__ == error.__dict__
    twice = again(rebuilt)
    assert type(twice) is type(error) and str(twice) == str(error) and twice.args == error.args


def test_attributes_come_back_without_running_init() -> None:
    error = Declined("visa", Decimal("1.50"), retry_on=date(2024, 1, 1))
    initialised.clear()
    rebuilt = again(error)
    assert (rebuilt.card, rebuilt.amount, rebuilt.retry_on) == ("visa", Decimal("1.50"), date(2024, 1, 1))
    assert again(Slotted(4)).code == 4
    assert again(Slotted(4)).hidden() == 5
    assert again(AttrsError(4, "q")).reason == "q"
    assert again(DataError(4, ("a",))) == DataError(4, ("a",))
    assert again(DiskFull("/x")).filename == "/x"
    assert again(FrozenError(1, datetime(2024, 1, 1))).when == datetime(2024, 1, 1)
    assert again(ModuleNotFoundError("m", name="n")).name == "n"
    made = HasNew("a")
    initialised.clear()
    assert type(again(made)) is HasNew
    assert initialised == []


def test_wrapping_errors_keep_the_error() -> None:
    inner = Declined("visa", Decimal(1))
    for cls in (errors.RetryExhausted, errors.WorkflowFailed):
        rebuilt = again(cls("gave up", error=inner))
        assert type(rebuilt.error) is Declined
        assert rebuilt.error is rebuilt.__cause__
        assert rebuilt.error.amount == Decimal(1)


def test_causes_and_notes() -> None:
    error: BaseException = ValueError("0")
    for number in range(1, 10):
        outer = ValueError(str(number))
        outer.__cause__ = error
        error = outer
    error.add_note("look \ud800 here")
    rebuilt = again(error)
    assert rebuilt.__notes__ == ["look \\ud800 here"]
    depth = 0
    while rebuilt.__cause__ is not None:
        depth += 1
        rebuilt = rebuilt.__cause__
        assert str(rebuilt) == str(9 - depth)
    assert depth == 5
    assert again(ValueError("a")).__suppress_context__ is False


def test_groups() -> None:
    group = ExceptionGroup("g", [ValueError(1), ExceptionGroup("h", [Declined("visa", Decimal(1)), KeyError("k")])])
    rebuilt = again(group)
    assert type(rebuilt) is ExceptionGroup
    inner: Any = rebuilt.exceptions[1]
    assert inner.exceptions[0].amount == Decimal(1)
    matched, rest = rebuilt.split(Declined)
    assert matched is not None and rest is not None
    base = again(BaseExceptionGroup("b", [KeyboardInterrupt(), ValueError()]))
    assert type(base) is BaseExceptionGroup and type(base.exceptions[0]) is KeyboardInterrupt


def test_traceback_is_kept_from_its_end() -> None:
    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        raise ValueError("at the bottom")

    failure = Failure.of(caught(lambda: deep(200)))
    assert failure.traceback.endswith("ValueError: at the bottom\n")
    assert len(failure.traceback.encode()) <= 4096


def test_classes_that_cannot_be_found() -> None:
    class Local(Exception):
        pass

    rebuilt = again(Local("a"))
    assert type(rebuilt) is errors.ActivityFailed
    assert str(rebuilt) == "a" == rebuilt.message
    assert rebuilt.type.endswith("test_classes_that_cannot_be_found.<locals>.Local")
    assert again(rebuilt).type == rebuilt.type
    with_cause = again(errors.RetryExhausted("x", error=Local("b")))
    assert with_cause.error.type.endswith("Local") and with_cause.error is with_cause.__cause__


@pytest.mark.parametrize(
    "name",
    [
        "no_such_module:Error",
        "os:PathLike",
        "os:system",
        "builtins:int",
        "json:JSONDecodeError",  # its own name is json.decoder's
        "codec_lazy:Lazy",
        "builtins:ValueError.mro",
        "builtins:",
        ":",
        "",
        "ValueError",
    ],
)
def test_only_exceptions_by_their_own_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("codec_lazy")

    def refuse(attribute: str) -> Any:
        raise AssertionError(f"{attribute} was asked for")

    monkeypatch.setattr(module, "__getattr__", refuse, raising=False)
    monkeypatch.setitem(sys.modules, "codec_lazy", module)
    rebuilt = Failure(name, "message", []).rebuild()
    assert type(rebuilt) is errors.ActivityFailed
    assert rebuilt.type == name and str(rebuilt) == "message"


def test_constructors_that_refuse() -> None:
    class Model(pydantic.BaseModel):
        a: int

    rebuilt = again(caught(lambda: Model(a="x")))  # type: ignore[arg-type]
    assert type(rebuilt) is errors.ActivityFailed
    assert rebuilt.type == "pydantic_core._pydantic_core:ValidationError"
    assert "valid integer" in str(rebuilt)


class Hostile(Exception):
    def __str__(self) -> str:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError

    def __getattribute__(self, name: str) -> Any:
        if name in ("__dict__", "args", "__cause__", "__notes__"):
            raise RuntimeError(name)
        return super().__getattribute__(name)


class Awkward:
    def __repr__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        return 1


def test_hostile_errors_are_recorded() -> None:
    failure = Failure.of(caught(lambda: (_ for _ in ()).throw(Hostile("a"))))
    assert failure.type.endswith(":Hostile")
    assert "Hostile" in failure.message
    failure.rebuild()
    rebuilt = again(ValueError(Awkward(), object()))
    assert "Awkward" in rebuilt.args[0] and rebuilt.args[1].startswith("<object object")
    assert again(OSError(1, "a", Awkward())).args == (1, "a")


def test_what_databases_do_not_store_is_escaped() -> None:
    rebuilt = again(ValueError("a\0b", "\ud800", {"k\0": "\0"}))
    assert rebuilt.args == ("a\\x00b", "\\ud800", {"k\\x00": "\\x00"})
    assert math.isnan(again(ValueError(math.nan)).args[0])


def test_large_errors_are_cut() -> None:
    loop: list[Any] = []
    loop.append(loop)
    wide = ValueError("\x01" * 1_000_000, ["y" * 1000] * 10_000, {str(i): "z" for i in range(10_000)}, loop)
    wide.__cause__ = KeyError("\x01" * 1_000_000)
    wide.__dict__.update({f"a{i}": i for i in range(10_000)})
    for _ in range(200):
        wide.add_note("n" * 100_000)
    rebuilt = again(wide)
    assert type(rebuilt) is ValueError
    again(ExceptionGroup("many", [ValueError(number, "x" * 1000) for number in range(1000)]))
    again(type("N" * 100_000, (Exception,), {})("a"))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.datetimes()
    | st.timedeltas()
    | st.sampled_from(Color),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(values, max_size=3))
def test_arguments_come_back(args: list[Any]) -> None:
    error = Exception(*args)
    rebuilt = again(error)
    if "\0" not in repr(args) and "\\x00" not in repr(args) and "\\ud" not in repr(args):
        assert rebuilt.args == error.args
        assert str(rebuilt) == str(error)
