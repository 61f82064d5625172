"""What a model is asked: the argument of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from perdure.errors import InvalidInput
from perdure_adapters.llm.settings import Settings


@frozen
class Format:
    """The JSON that is asked for. `strict`: the service is to allow nothing else."""

    name: str
    schema: dict[str, Any]
    strict: bool = True


@frozen
class Request:
    """A conversation, and what the call itself says about how to ask it. All else is looked up when it is made."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = field(factory=list)
    format: Format | None = None
    provider: str | None = None
    model: str | None = None
    base_url: str | None = None
    timeout: float | None = None
    params: dict[str, Any] = field(factory=dict)

    @classmethod
    def of(cls, messages: Sequence[Mapping[str, Any]], settings: Settings, **more: Any) -> Request:
        """Raises InvalidInput for messages that are none."""
        checked = [_checked(index, message) for index, message in enumerate(messages)]
        if not checked:
            raise InvalidInput("messages: give at least one message")
        return cls(
            checked,
            provider=settings.provider,
            model=settings.model,
            base_url=settings.base_url,
            timeout=settings.timeout,
            params=dict(settings.params),
            **more,
        )

    def settings(self) -> Settings:
        return Settings(self.provider, self.model, self.base_url, None, self.timeout, self.params)

    def following(self, *messages: dict[str, Any]) -> Request:
        """The same, with more said."""
        return evolve(self, messages=[*self.messages, *messages])


def conversation(prompt: str, system: str | None) -> list[dict[str, Any]]:
    """Raises InvalidInput for what is no text."""
    if not isinstance(prompt, str):
        raise InvalidInput(f"the prompt: expected a str, got {type(prompt).__name__}; call_messages() takes messages")
    if system is not None and not isinstance(system, str):
        raise InvalidInput(f"system: expected a str, got {type(system).__name__}")
    asked = {"role": "user", "content": prompt}
    return [asked] if system is None else [{"role": "system", "content": system}, asked]


def _checked(index: int, message: object) -> dict[str, Any]:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise InvalidInput(f'messages[{index}]: expected {{"role": ..., "content": ...}}, got {message!r:.200}')
    return dict(message)
