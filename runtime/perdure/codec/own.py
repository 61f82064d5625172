"""Values by their own type, where nothing declares one: what is sent."""

from __future__ import annotations

from typing import Any

from perdure.codec.document import Document, Schema
from perdure.codec.misfit import Misfit, key_step
from perdure.codec.primitives import JSON
from perdure.codec.shape import ALL_KINDS, Shape
from perdure.codec.types import register
from perdure.codec.values import codec_for
from perdure.errors import UsageError

_PLACE = "the value"
_NATIVE = (bool, int, float, str, type(None))


class Own(Shape):
    """Each part is written as its own class is. It names the class nowhere: who reads has to know. A generic class is
    written with each of its parameters standing for this again: `Box(1)` does not say that it is a `Box[int]`.
    """

    name = "Any"
    kinds = ALL_KINDS
    types = ()
    anything = True

    def dump(self, value: Any) -> Any:
        cls = type(value)
        if cls in _NATIVE:
            return JSON.dump(value)
        if cls is list or cls is tuple:
            return self._items(value)
        if cls is set or cls is frozenset:
            return sorted(self._items(value), key=repr)
        try:
            if cls is dict:
                return OwnKeys(self).dump(value)
            shape = codec_for(_form(cls), _PLACE).shape
        except UsageError as error:
            reason, _, advice = str(error).removeprefix(_PLACE).lstrip(":, ").rpartition("; ")
            raise Misfit(reason, advice) from None
        return shape.dump(value)

    def load(self, data: Any) -> Any:
        return data

    def schema(self, document: Document) -> Schema:
        return {}

    def _items(self, value: Any) -> list[Any]:
        data: list[Any] = []
        try:
            for item in value:
                data.append(self.dump(item))
        except Misfit as misfit:
            raise misfit.at(f"[{len(data)}]") from None
        return data


class OwnKeys(Shape):
    """A dict, whose keys are of one class. `item`: the shape of what they are for."""

    name = "dict"
    kinds = ALL_KINDS
    types = (dict,)

    def __init__(self, item: Shape) -> None:
        self._item = item

    def dump(self, value: Any) -> Any:
        if type(value) is not dict:
            raise Misfit.of("dict", value)
        plain: dict[Any, Any] = {}
        for key, item in value.items():
            try:
                plain[key] = self._item.dump(item)
            except Misfit as misfit:
                raise misfit.at(key_step(key)) from None
        kinds = {type(key) for key in value}
        if len(kinds) != 1:
            return JSON.dump(plain)  # its keys have to be str then
        form: Any = dict[_form(kinds.pop()), Any]  # type: ignore[misc]  # known at run time only
        return codec_for(form, _PLACE).shape.dump(plain)

    def load(self, data: Any) -> Any:
        return data

    def schema(self, document: Document) -> Schema:
        return {}


def _form(cls: Any) -> Any:
    parameters = getattr(cls, "__parameters__", ())
    if not parameters or hasattr(cls, "model_fields"):
        return cls
    try:
        return cls[(Own,) * len(parameters)]
    except TypeError:  # a parameter that is no single type
        return cls


register(Own, Own(), OwnKeys)
