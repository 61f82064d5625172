"""The codec of one type: values to JSON text and back."""

from __future__ import annotations

from math import isfinite
from typing import Any

import orjson

from perdure.codec.misfit import Misfit
from perdure.codec.primitives import BOOL, FLOAT, INT, NONE, SMALL, STR
from perdure.codec.shape import Shape
from perdure.codec.text import MAX_INT, MAX_PAYLOAD, MIN_INT, from_text, to_text
from perdure.codec.types import Builder
from perdure.errors import InvalidInput

_TINY = 64
"""No number's text is longer; a smaller max_payload takes the measured way."""


class Codec:
    """Encodes and decodes values of one type, strictly: nothing is converted, nothing is lost.

    Whatever `encode` accepts, `decode` gives back as an equal value of the same classes. Messages of
    InvalidInput begin with `where` and the path inside the value.
    """

    __slots__ = ("_dump", "_load", "immutable", "name", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.name = shape.name
        self.immutable = shape.immutable
        self._dump = shape.dump
        self._load = shape.load

    def encode(self, value: Any, where: str = "the value", *, max_payload: int = MAX_PAYLOAD) -> str:
        """JSON text. Raises InvalidInput for a value that does not fit or cannot be stored."""
        return to_text(self.data(value, where), where, max_payload)

    def decode(self, text: str | bytes, where: str = "the value") -> Any:
        """Raises InvalidInput for text that is not JSON or does not fit."""
        return self.from_data(from_text(text, where), where)

    def data(self, value: Any, where: str = "the value") -> Any:
        """The JSON data of a value that fits, not yet checked for what text can hold."""
        try:
            return self._dump(value)
        except Misfit as misfit:
            raise misfit.report(where) from None
        except RecursionError:
            raise _endless(where) from None

    def from_data(self, data: Any, where: str = "the value") -> Any:
        """The value of JSON data. The data must not be used afterwards: the value may contain it."""
        try:
            return self._load(data)
        except Misfit as misfit:
            raise misfit.report(where) from None
        except RecursionError:
            raise _endless(where) from None

    def check(self, value: Any, where: str = "the value", *, max_payload: int = MAX_PAYLOAD) -> None:
        """Raises what `encode` would raise."""
        if not (max_payload >= 8 * SMALL and self.shape.shared(value)):
            self.encode(value, where, max_payload=max_payload)

    def copy(self, value: Any, where: str = "the value", *, max_payload: int = MAX_PAYLOAD) -> Any:
        """What `decode(encode(value))` gives, without the way back through text."""
        if max_payload >= 8 * SMALL and self.shape.shared(value):
            return value
        data = self.data(value, where)
        to_text(data, where, max_payload)
        return self.from_data(data, where)

    def __repr__(self) -> str:
        return f"<Codec of {self.name}>"


class IntCodec(Codec):
    __slots__ = ()

    def encode(self, value: Any, where: str = "the value", *, max_payload: int = MAX_PAYLOAD) -> str:
        if type(value) is int and MIN_INT <= value <= MAX_INT and max_payload >= _TINY:
            return str(value)
        return super().encode(value, where, max_payload=max_payload)


class StrCodec(Codec):
    __slots__ = ()

    def encode(self, value: Any, where: str = "the value", *, max_payload: int = MAX_PAYLOAD) -> str:
        if type(value) is str and "\0" not in value:
            try:
                raw = orjson.dumps(value)
            except orjson.JSONEncodeError:
                pass
            else:
                if len(raw) <= max_payload:
                    return raw.decode()
        return super().encode(value, where, max_payload=max_payload)


class FloatCodec(Codec):
    __slots__ = ()

    def encode(self, value: Any, where: str = "the value", *, max_payload: int = MAX_PAYLOAD) -> str:
        if type(value) is float and isfinite(value) and max_payload >= _TINY:
            return orjson.dumps(value).decode()
        return super().encode(value, where, max_payload=max_payload)


class BoolCodec(Codec):
    __slots__ = ()

    def encode(self, value: Any, where: str = "the value", *, max_payload: int = MAX_PAYLOAD) -> str:
        if value is True:
            return "true"
        if value is False:
            return "false"
        return super().encode(value, where, max_payload=max_payload)


class NoneCodec(Codec):
    __slots__ = ()

    def encode(self, value: Any, where: str = "the value", *, max_payload: int = MAX_PAYLOAD) -> str:
        if value is None:
            return "null"
        return super().encode(value, where, max_payload=max_payload)


_SPECIAL: dict[Shape, type[Codec]] = {
    INT: IntCodec,
    STR: StrCodec,
    FLOAT: FloatCodec,
    BOOL: BoolCodec,
    NONE: NoneCodec,
}
_codecs: dict[Any, Codec] = {}


def codec_for(type_form: Any, where: str) -> Codec:
    """The codec of a type, made once.

    Raises UsageError, beginning with `where`, for a type whose values would be lost or changed.
    """
    try:
        codec = _codecs.get(type_form)
    except TypeError:  # unhashable, by the metadata of an Annotated
        return _make(type_form, where)
    if codec is None:
        codec = _codecs[type_form] = _make(type_form, where)
    return codec


def _make(type_form: Any, where: str) -> Codec:
    shape = Builder(where).shape(type_form)
    return _SPECIAL.get(shape, Codec)(shape)


def _endless(where: str) -> InvalidInput:
    return InvalidInput(f"{where}: it is nested too deeply or contains itself; make it flat")
