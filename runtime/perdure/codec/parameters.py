"""The arguments of a function as one JSON object, by parameter name.

Defaults that were not given are not stored: decoding leaves them to the function as it is then, so
a deploy may change a default for calls that never named it.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from perdure.codec.descriptions import description
from perdure.codec.hints import function_hints
from perdure.codec.misfit import Misfit
from perdure.codec.primitives import SMALL
from perdure.codec.text import MAX_PAYLOAD, from_text, to_text
from perdure.codec.values import Codec, codec_for
from perdure.errors import InvalidInput, UsageError

_KIND = inspect.Parameter
_ROOM = 64 * SMALL
"""Enough for the few short arguments that are not measured."""


@attrs.frozen
class Parameter:
    """One of a function's parameters. `sort`: "rest" is `*args`, "extra" is `**kwargs`.

    `default` is `inspect.Parameter.empty` where there is none; `text` is what its annotation says about it.
    """

    name: str
    codec: Codec
    sort: Literal["one", "rest", "extra"]
    required: bool
    default: Any
    text: str | None


class Parameters:
    """The codec of one function's arguments. `where` names the function: "activity 'charge'".

    Raises UsageError for a parameter whose type cannot be kept. `returns` is the annotation of the
    result, `Any` if there is none.
    """

    def __init__(self, fn: Callable[..., Any], where: str) -> None:
        try:
            self._signature = inspect.signature(fn)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{where}: {error}; use a function written in Python") from None
        hints = function_hints(fn, where)
        self.where = where
        self.names: tuple[str, ...] = tuple(self._signature.parameters)
        self.returns: Any = hints.get("return", Any)
        self._codecs: dict[str, Codec] = {
            name: codec_for(hints.get(name, Any), f"parameter {name!r} of {where}") for name in self.names
        }
        of_kind: dict[Any, list[str]] = {}
        for name, parameter in self._signature.parameters.items():
            of_kind.setdefault(parameter.kind, []).append(name)
        only = of_kind.get(_KIND.POSITIONAL_ONLY, [])
        both = of_kind.get(_KIND.POSITIONAL_OR_KEYWORD, [])
        self._positional = [*only, *both]
        self._only_positional = frozenset(only)
        self._only_keyword = of_kind.get(_KIND.KEYWORD_ONLY, [])
        self.by_keyword = frozenset([*both, *self._only_keyword])
        self._rest: str | None = next(iter(of_kind.get(_KIND.VAR_POSITIONAL, [])), None)
        self._extra: str | None = next(iter(of_kind.get(_KIND.VAR_KEYWORD, [])), None)
        self._required = [
            name
            for name, parameter in self._signature.parameters.items()
            if parameter.default is _KIND.empty and name not in (self._rest, self._extra)
        ]
        self._quick = self._quick_checks()
        self._texts = {name: description(hints.get(name)) for name in self.names}

    def each(self) -> list[Parameter]:
        """What there is to know of them, in their order."""
        return [
            Parameter(
                name,
                self._codecs[name],
                "rest" if name == self._rest else "extra" if name == self._extra else "one",
                name in self._required,
                parameter.default,
                self._texts[name],
            )
            for name, parameter in self._signature.parameters.items()
        ]

    def pack(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, max_payload: int = MAX_PAYLOAD) -> str:
        """Raises InvalidInput naming the parameter that is missing, unknown or does not fit."""
        return self._text(self._data(self._bind(args, kwargs)), max_payload)

    def unpack(self, text: str | bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments to call the function with."""
        return self._arguments(self._values(from_text(text, f"the arguments of {self.where}")))

    def copy(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, max_payload: int = MAX_PAYLOAD
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What `unpack(pack(…))` gives, without the way back through text."""
        quick = self._quick
        if quick is not None and not kwargs and len(args) == len(quick) and max_payload >= _ROOM:
            for shared, value in zip(quick, args, strict=True):
                if not shared(value):
                    break
            else:
                return args, {}
        data = self._data(self._bind(args, kwargs))
        self._text(data, max_payload)
        return self._arguments(self._values(data))

    def from_data(self, value: Any, *, max_payload: int = MAX_PAYLOAD) -> str:
        """The packed arguments from JSON-decoded data by parameter name, as it comes from outside."""
        args, kwargs = self._arguments(self._values(value))
        return self.pack(args, kwargs, max_payload=max_payload)

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        bound: dict[str, Any] = dict(zip(self._positional, args, strict=False))
        if len(args) > len(self._positional):
            if self._rest is None:
                raise InvalidInput(
                    f"{self.where} takes {len(self._positional)} positional arguments, got {len(args)}; "
                    f"its parameters are ({', '.join(self.names)})"
                )
            bound[self._rest] = args[len(self._positional) :]
        extra: dict[str, Any] = {}
        for name, value in kwargs.items():
            if name in self.by_keyword:
                if name in bound:
                    raise InvalidInput(f"{name}: given twice to {self.where}; give it once")
                bound[name] = value
            elif self._extra is not None:
                extra[name] = value
            else:
                raise self._unknown(name)
        if self._extra is not None and extra:
            bound[self._extra] = extra
        self._complain_if_missing(bound)
        return bound

    def _data(self, bound: dict[str, Any]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        name = ""
        try:
            for name in self.names:
                if name not in bound:
                    continue
                dump = self._codecs[name].shape.dump
                if name == self._rest:
                    data[name] = [_at(f"[{i}]", dump, item) for i, item in enumerate(bound[name])]
                elif name == self._extra:
                    data[name] = {key: _at(f".{key}", dump, item) for key, item in bound[name].items()}
                else:
                    data[name] = dump(bound[name])
        except Misfit as misfit:
            raise misfit.report(name, f" (argument of {self.where})") from None
        except RecursionError:
            raise InvalidInput(f"{name}: it is nested too deeply or contains itself; make it flat") from None
        return data

    def _text(self, data: dict[str, Any], max_payload: int) -> str:
        return to_text(data, "" if data else self.where, max_payload, f" (arguments of {self.where})")

    def _values(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise Misfit.of("a JSON object of arguments by name", data).report(f"the arguments of {self.where}")
        bound: dict[str, Any] = {}
        name = ""
        try:
            for name, item in data.items():
                codec = self._codecs.get(name)
                if codec is None:
                    raise self._unknown(name)
                load = codec.shape.load
                if name == self._rest:
                    if type(item) is not list:
                        raise Misfit.of("a list", item)
                    bound[name] = tuple(_at(f"[{i}]", load, one) for i, one in enumerate(item))
                elif name == self._extra:
                    if type(item) is not dict:
                        raise Misfit.of("a dict by name", item)
                    for key in item:
                        if key in self.by_keyword:
                            misfit = Misfit(f"{key!r} is a parameter of its own", "give it beside the others")
                            raise misfit.at(f".{key}")
                    bound[name] = {key: _at(f".{key}", load, one) for key, one in item.items()}
                else:
                    bound[name] = load(item)
        except Misfit as misfit:
            raise misfit.report(name, f" (argument of {self.where})") from None
        except RecursionError:
            raise InvalidInput(f"{name}: it is nested too deeply; make it flat") from None
        self._complain_if_missing(bound)
        return bound

    def _arguments(self, bound: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        rest = bound.get(self._rest, ()) if self._rest is not None else ()
        last = max((i for i, name in enumerate(self._positional) if name in bound), default=-1)
        for index, name in enumerate(self._positional):
            if name in bound:
                if len(args) == index:
                    args.append(bound[name])
                else:
                    kwargs[name] = bound[name]
            elif rest or (index < last and name in self._only_positional):
                # what follows can only be given if this is, too
                args.append(self._signature.parameters[name].default)
        args.extend(rest)
        kwargs.update({name: bound[name] for name in self._only_keyword if name in bound})
        if self._extra is not None:
            kwargs.update(bound.get(self._extra, {}))
        return tuple(args), kwargs

    def _complain_if_missing(self, bound: dict[str, Any]) -> None:
        for name in self._required:
            if name not in bound:
                codec = self._codecs[name]
                raise InvalidInput(f"{name}: missing argument of {self.where}; give one ({codec.name})")

    def _unknown(self, name: object) -> InvalidInput:
        near = difflib.get_close_matches(str(name), self.names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"its parameters are ({', '.join(self.names)})"
        if name == "id":
            hint += "; an instance's own id is given by workflow.options(id=...)"
        return InvalidInput(f"{str(name)[:80]}: {self.where} has no such parameter; {hint}")

    def _quick_checks(self) -> list[Callable[[Any], bool]] | None:
        """One check for each argument, if all may be shared once checked; None otherwise."""
        if len(self._required) != len(self.names) or len(self._positional) != len(self.names):
            return None
        codecs = [self._codecs[name] for name in self._positional]
        if len(codecs) > 8 or not all(codec.immutable for codec in codecs):
            return None
        return [codec.shape.shared for codec in codecs]


def _at(step: str, convert: Callable[[Any], Any], value: Any) -> Any:
    try:
        return convert(value)
    except Misfit as misfit:
        raise misfit.at(step) from None
