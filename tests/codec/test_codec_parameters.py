"""Arguments by parameter name: bound, packed, unpacked and copied as a call would bind them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.codec_samples import Item, Node
from perdure.codec import Parameters
from perdure.errors import InvalidInput, UsageError

ITEM = Item("a", Decimal("1.50"))


def every(a: int, b: Item, /, c: str, d: int = 4, *rest: int, e: bool, f: float = 1.5, **extra: str) -> list[int]:
    return []


def plain(order: Item, n: int = 1) -> None: ...


def two(a: int, b: int) -> None: ...


def untyped(a, b=None):  # type: ignore[no-untyped-def]
    return a


def of(fn: Any) -> Parameters:
    return Parameters(fn, f"activity {fn.__name__!r}")


CALLS: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (every, (1, ITEM, "c"), {"e": True}),
    (every, (1, ITEM), {"c": "c", "e": True, "d": 5}),
    (every, (1, ITEM, "c", 5, 6, 7), {"e": True, "f": 2.0, "a": "extra a", "z": "z"}),
    (plain, (ITEM,), {}),
    (plain, (ITEM, 2), {}),
    (plain, (), {"order": ITEM}),
    (plain, (ITEM,), {"n": 3}),
    (two, (1, 2), {}),
    (two, (1,), {"b": 2}),
    (untyped, ({"a": [1]},), {}),
]


@pytest.mark.parametrize(("fn", "args", "kwargs"), CALLS)
def test_unpacked_arguments_bind_like_the_given_ones(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    parameters = of(fn)
    signature = inspect.signature(fn)
    wanted = signature.bind(*args, **kwargs).arguments
    text = parameters.pack(args, kwargs)
    for back in (parameters.unpack(text), parameters.unpack(text.encode()), parameters.copy(args, kwargs)):
        assert signature.bind(*back[0], **back[1]).arguments == wanted
    assert set(json.loads(text)) == set(wanted)
    assert parameters.from_data(json.loads(text)) == text
    assert list(json.loads(text)) == [name for name in parameters.names if name in wanted]


def test_what_is_extra_is_no_parameter() -> None:
    def fn(*, k: str, **extra: str) -> None: ...

    for read in (of(fn).from_data, lambda data: of(fn).unpack(json.dumps(data))):
        with pytest.raises(InvalidInput, match=r"^extra\.k: 'k' is a parameter of its own"):
            read({"k": "right", "extra": {"k": "wrong"}})


def test_text_is_an_object_by_name() -> None:
    text = of(every).pack((1, ITEM, "c", 5, 6), {"e": True, "z": "z"})
    assert json.loads(text) == {
        "a": 1,
        "b": {"name": "a", "price": "1.50", "count": 1},
        "c": "c",
        "d": 5,
        "rest": [6],
        "e": True,
        "extra": {"z": "z"},
    }


def test_defaults_stay_with_the_code() -> None:
    assert of(plain).pack((ITEM,), {}) == of(plain).pack((), {"order": ITEM})
    assert "n" not in json.loads(of(plain).pack((ITEM,), {}))


def test_names_and_returns() -> None:
    assert of(every).names == ("a", "b", "c", "d", "rest", "e", "f", "extra")
    assert of(every).returns == list[int]
    assert of(untyped).returns is Any


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "message"),
    [
        (plain, (), {}, "^order: missing argument of activity 'plain'"),
        (plain, (ITEM, 1, 2), {}, "takes 2 positional arguments, got 3"),
        (plain, (ITEM,), {"order": ITEM}, "^order: given twice"),
        (plain, (ITEM,), {"nn": 1}, "^nn: .*did you mean 'n'"),
        (plain, (ITEM, "1"), {}, r"^n: expected int, got str '1' \(argument of activity 'plain'\); "),
        (plain, (Item("a", 1),), {}, r"^order\.price: expected Decimal, got int 1"),  # type: ignore[arg-type]
        (plain, (Item("\0", Decimal(1)),), {}, r"^order\.name: .*NUL"),
        (every, (1, ITEM, "c", 4, "x"), {"e": True}, r"^rest\[0\]: expected int"),
        (every, (1, ITEM, "c"), {"e": True, "z": 1}, r"^extra\.z: expected str"),
        (every, (1,), {"b": ITEM, "c": "c", "e": True}, "^b: missing"),
        (every, (1, ITEM, "c"), {}, "^e: missing"),
        (untyped, (ITEM,), {}, "^a: expected None.*annotate"),
    ],
)
def test_bad_calls(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    for call in (of(fn).pack, of(fn).copy):
        with pytest.raises(InvalidInput, match=message):
            call(args, kwargs)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "^order: missing"),
        ({"order": {"name": "a"}}, r"^order\.price: the field is missing"),
        ({"order": {"name": "a", "price": "1"}, "m": 1}, "^m: .* no such parameter"),
        ({"order": {"name": "a", "price": "1"}, "n": "1"}, "^n: expected int"),
        ([1], "object of arguments"),
    ],
)
def test_bad_data(data: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        of(plain).from_data(data)
    with pytest.raises(InvalidInput, match=message):
        of(plain).unpack(json.dumps(data))


def test_data_from_outside() -> None:
    text = of(plain).from_data({"order": {"name": "a", "price": "1"}})
    assert of(plain).unpack(text) == ((Item("a", Decimal(1)),), {})

    def gaps(a: int = 1, b: int = 2, /, c: int = 3, *, d: int = 4) -> tuple[int, int, int, int]:
        return a, b, c, d

    args, kwargs = of(gaps).unpack('{"b": 5, "d": 6}')
    assert gaps(*args, **kwargs) == (1, 5, 3, 6)
    args, kwargs = of(gaps).unpack('{"c": 5}')
    assert gaps(*args, **kwargs) == (1, 2, 5, 4)
    args, kwargs = of(every).unpack(
        json.dumps({"a": 1, "b": {"name": "a", "price": "1"}, "c": "c", "rest": [9], "e": True})
    )
    assert args == (1, Item("a", Decimal(1)), "c", 4, 9)


def test_copy_is_by_value() -> None:
    def take(node: Node, numbers: list[float], anything: Any) -> None: ...

    node, numbers, anything = Node("a", [Node("b")]), [1, 2.5], {"a": [1]}
    (copied, more, thing), kwargs = of(take).copy((node, numbers, anything), {})
    assert copied == node and copied is not node and copied.children[0] is not node.children[0]
    assert [type(number) for number in more] == [float, float]
    assert thing == anything and thing is not anything and thing["a"] is not anything["a"]
    assert kwargs == {}


def test_quick_copies_are_strict() -> None:
    def take(a: int, b: float, c: str, d: Decimal | None) -> None: ...

    parameters = of(take)
    args = (1, 1.5, "c", Decimal(1))
    assert parameters.copy(args, {})[0] is args
    (_, b, _, _), _ = parameters.copy((1, 2, "c", None), {})
    assert type(b) is float
    for bad in [
        (True, 1.5, "c", None),
        (2**64, 1.5, "c", None),
        (1, float("nan"), "c", None),
        (1, 1.5, "\0", None),
    ]:
        with pytest.raises(InvalidInput):
            parameters.copy(bad, {})
    with pytest.raises(InvalidInput, match="max_payload"):
        parameters.copy(args, {}, max_payload=10)
    with pytest.raises(InvalidInput, match="max_payload"):
        parameters.copy((1, 1.5, "c" * 2_000_000, None), {})


def test_max_payload_counts_all_arguments() -> None:
    text = of(two).pack((1, 2), {})
    assert of(two).pack((1, 2), {}, max_payload=len(text)) == text
    with pytest.raises(InvalidInput, match="arguments of activity 'two'.*max_payload|max_payload"):
        of(two).pack((1, 2), {}, max_payload=len(text) - 1)


def test_annotations_that_cannot_be_resolved() -> None:
    def broken(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(UsageError, match="activity 'broken'.*'Missing'.*top of its module"):
        of(broken)


def test_refused_type_names_the_parameter() -> None:
    def broken(when: object) -> None: ...

    with pytest.raises(UsageError, match="^parameter 'when' of activity 'broken': object"):
        of(broken)


def test_local_classes() -> None:
    @dataclasses.dataclass
    class Local:
        n: int

    async def take(value: Local) -> Local:
        return value

    @functools.wraps(take)
    async def wrapped(*args: Any) -> Any:
        return await take(*args)

    for one in (take, wrapped):
        parameters = of(one)
        assert parameters.unpack(parameters.pack((Local(1),), {})) == ((Local(1),), {})
        assert parameters.returns is Local


@given(
    st.lists(st.integers(), max_size=8),
    st.dictionaries(st.sampled_from("abcdeghxyz"), st.integers(), max_size=8),
)
def test_binds_as_python_does(args: list[int], kwargs: dict[str, int]) -> None:
    def fn(a: int, /, b: int, c: int = 0, *rest: int, d: int, e: int = 0, **extra: int) -> None: ...

    parameters = of(fn)
    fits = all(-(2**63) <= number < 2**64 for number in [*args, *kwargs.values()])
    try:
        wanted = inspect.signature(fn).bind(*args, **kwargs).arguments if fits else None
    except TypeError:
        wanted = None
    if wanted is None:
        with pytest.raises(InvalidInput):
            parameters.pack(tuple(args), kwargs)
    else:
        back = parameters.unpack(parameters.pack(tuple(args), kwargs))
        assert inspect.signature(fn).bind(*back[0], **back[1]).arguments == wanted
        copied = parameters.copy(tuple(args), kwargs)
        assert inspect.signature(fn).bind(*copied[0], **copied[1]).arguments == wanted
