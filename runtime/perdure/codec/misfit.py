"""What goes wrong inside a value, before it is known how the caller names that value."""

from __future__ import annotations

from typing import Any

from perdure.errors import InvalidInput

FIT = "give a value of that type"


class Misfit(Exception):
    """A part of a value does not fit its type. Each level it passes adds its step to the path."""

    def __init__(self, message: str, advice: str = FIT) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.steps: list[str] = []

    @classmethod
    def of(cls, expected: str, got: object, advice: str = FIT) -> Misfit:
        return cls(f"expected {expected}, got {described(got)}", advice)

    def at(self, step: str) -> Misfit:
        """Innermost first: the path is read backwards at the end."""
        self.steps.append(step)
        return self

    def report(self, where: str, context: str = "") -> InvalidInput:
        path = "".join(reversed(self.steps))
        if " " in where and path:
            path = f"{where}, at {path.removeprefix('.')}"
        else:
            path = f"{where}{path}".removeprefix(".") or "the value"
        return InvalidInput(f"{path}: {self.message}{context}; {self.advice}")


def described(value: object) -> str:
    """`str '12'`: the class and a short repr, whatever the value's own `__repr__` does."""
    if value is None:
        return "None"
    cls: type[Any] = type(value)
    text = shown(value)
    if len(text) > 60:
        text = text[:57] + "…"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if text.startswith(f"{cls.__name__}(") else f"{cls.__name__} {text}"


def shown(value: object) -> str:
    """Its repr, or what there is to say when the repr itself raises."""
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


def key_step(key: object) -> str:
    """The step into a mapping."""
    return f"[{described(key).removeprefix('str ').removeprefix('int ')}]"
