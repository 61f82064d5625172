"""pydantic models, by their own rules. Nothing is imported: a model brings its methods along."""

from __future__ import annotations

from typing import Any

import orjson

from perdure.codec.document import Document, Schema
from perdure.codec.misfit import Misfit, described
from perdure.codec.primitives import JSON
from perdure.codec.records import Record
from perdure.codec.shape import ALL_KINDS
from perdure.errors import UsageError


def is_model(cls: Any) -> bool:
    return isinstance(cls, type) and any(
        base.__name__ == "BaseModel" and base.__module__.startswith("pydantic.") for base in cls.__mro__
    )


class Model(Record):
    """Written under its aliases, without computed fields, and tried before it is stored.

    Reading is as lax or strict as the model's configuration is. Trying costs one validation; it is
    the only way to know of excluded fields, one-way aliases and serializers that lose something.
    """

    def __init__(self, cls: Any) -> None:
        fields = cls.model_fields
        aliases = {field.serialization_alias or field.alias or name for name, field in fields.items()}
        super().__init__(cls, cls.__name__, frozenset(aliases) | frozenset(fields))
        if getattr(cls, "__pydantic_root_model__", False):
            self.kinds = ALL_KINDS
            self.keys = None
        elif cls.model_config.get("extra") == "allow":
            self.keys = None

    def dump(self, value: Any) -> Any:
        if type(value) is not self._class:
            raise self.wrong_class(value)
        try:
            data = value.model_dump(mode="json", by_alias=True, round_trip=True, warnings="error")
        except Exception as error:
            raise Misfit(
                f"{self.name} cannot be written as JSON: {_first_line(error)}",
                "give its fields types that pydantic can write, such as ser_json_bytes='base64' for bytes",
            ) from None
        data = JSON.dump(data)
        again = self.load(data)
        if again != value:
            raise Misfit(
                f"{self.name} does not come back from its own JSON: {described(value)} becomes {described(again)}",
                "let no field be excluded, and let every alias and serializer have its counterpart",
            )
        return data

    def load(self, data: Any) -> Any:
        try:
            return self._class.model_validate_json(orjson.dumps(data))
        except Exception as error:
            errors: Any = getattr(error, "errors", None)
            details = errors(include_url=False) if errors is not None else []
            if not details:
                raise Misfit(f"{self.name} refuses this: {_first_line(error)}") from None
            first = details[0]
            misfit = Misfit(f"{first['msg']} (in {self.name}), got {described(first.get('input'))}")
            for step in reversed(first["loc"]):
                misfit.at(f"[{step}]" if isinstance(step, int) else f".{step}")
            raise misfit from None

    def schema(self, document: Document) -> Schema:
        """As the model describes itself."""
        writes = document.mode == "output"
        more: dict[str, Any] = {"schema_generator": _generator()} if writes else {}
        try:
            schema = self._class.model_json_schema(mode="serialization" if writes else "validation", **more)
        except Exception as error:
            raise UsageError(
                f"{self.name} has no JSON Schema: {_first_line(error)}; "
                "give its fields types that pydantic can describe"
            ) from None
        return document.include(schema, self._class.__name__)

    def body(self, document: Document) -> Schema:
        return document.body(self.schema(document))


def _generator() -> Any:
    """Computed fields are not written, so they are not described."""
    from pydantic.json_schema import GenerateJsonSchema  # is imported already: there is a model
    from pydantic_core import PydanticOmit

    class Stored(GenerateJsonSchema):
        def computed_field_schema(self, schema: Any) -> Any:
            raise PydanticOmit

    return Stored


def _first_line(error: BaseException) -> str:
    return " ".join(described(error).split())[:200]
