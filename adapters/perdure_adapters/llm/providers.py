"""Services that speak OpenAI's protocol, and what is special to each."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

Provider: TypeAlias = Literal["openai", "anthropic", "gemini"]


@frozen
class Dialect:
    """`keys` are the environment variables that may hold the key, the first one first. `formats`: it keeps to a JSON
    schema; one that does not is told of it in words.
    """

    base_url: str
    keys: tuple[str, ...]
    formats: bool = True
    address: str | None = None
    """The environment variable that may hold another base URL."""


DIALECTS: dict[str, Dialect] = {
    "openai": Dialect("https://api.openai.com/v1", ("OPENAI_API_KEY",), address="OPENAI_BASE_URL"),
    "anthropic": Dialect("https://api.anthropic.com/v1/", ("ANTHROPIC_API_KEY",), formats=False),
    "gemini": Dialect("https://generativelanguage.googleapis.com/v1beta/openai/", ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
}
