"""How values of one type become JSON data and come back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, TypeAlias

from perdure.codec.document import Document, Schema

Kind: TypeAlias = Literal["null", "bool", "int", "float", "str", "array", "object"]

KINDS: dict[type, Kind] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    list: "array",
    dict: "object",
}
ALL_KINDS: frozenset[Kind] = frozenset(KINDS.values())


class Shape(ABC):
    """`dump` gives fresh data made of None, bool, int, float, str, list and dict with str keys only.

    `load(dump(value)) == value`, also when the data went through JSON text in between. Both raise
    Misfit. Whether strings and integers can be stored is not looked at here but on the whole data
    (`text.py`), where it costs next to nothing.
    """

    name: str
    """How messages and union tags call the type."""

    kinds: frozenset[Kind]
    """What `dump` may give, at the top."""

    types: tuple[type, ...]
    """The exact classes of the values `dump` takes."""

    immutable: bool = False
    """Whether a value may be shared instead of copied, if `shared` says so."""

    native: bool = False
    """Whether it is what JSON itself calls such data: in a union it goes untagged before others."""

    anything: bool = False
    """Whether it takes what any other takes: an optional one is it alone, and other unions cannot be told apart."""

    keys: frozenset[str] | None = None
    """The names in the JSON object, when it is always an object with no other names."""

    full_name: str = ""
    """`module:qualified name` of a class, for unions of two classes of one name."""

    @abstractmethod
    def dump(self, value: Any) -> Any: ...

    @abstractmethod
    def load(self, data: Any) -> Any: ...

    @abstractmethod
    def schema(self, document: Document) -> Schema:
        """JSON Schema of what `load` takes or `dump` gives, as `document.mode` says."""

    def shared(self, value: Any) -> bool:
        """True when the value fits, is small, can be stored, and is what decoding it would give."""
        return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
