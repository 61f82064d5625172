"""How a model is asked, as the places say it that may: the call, the definition, the LLM, the app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self, TypeAlias

from attrs import field, frozen

from perdure.definitions.retry import Retry
from perdure.durations import seconds
from perdure.errors import UsageError
from perdure_adapters.llm.providers import DIALECTS

#: A key, or what gives it: asked for at each attempt.
Key: TypeAlias = str | Callable[[], str | Awaitable[str]]

#: Seconds that one request may take, where nobody says it.
TIMEOUT = 120.0

#: Parameters that may hold secrets of their own.
_PRIVATE = frozenset(("extra_headers", "extra_query", "extra_body"))
_TAKEN = frozenset(("messages", "stream", "stream_options", "n"))


@frozen(eq=False)
class Settings:
    """What one place says. None: that is left to the next one. `params` go to the service as they are.

    `trusted`: the service may have the provider's key, if the environment has one.
    """

    provider: str | None = None
    model: str | None = None
    base_url: str | None = field(default=None, repr=False)  # there may be a password in it
    api_key: Key | None = field(default=None, repr=False)
    timeout: float | None = None
    params: Mapping[str, Any] = field(factory=dict, repr=False)  # headers, for one
    trusted: bool = True

    @classmethod
    def given(cls, where: str, /, *, api_key: Key | None = None, **said: Any) -> Self:
        """Of keyword arguments. Raises UsageError, beginning with `where`, for what makes no sense."""
        provider, model, base_url = (_text(where, name, said.pop(name, None)) for name in _TEXTS)
        if provider is not None and provider not in DIALECTS:
            raise UsageError(f"{where}: provider={provider!r}: give one of {', '.join(map(repr, DIALECTS))}")
        if api_key is not None and not callable(api_key) and not (isinstance(api_key, str) and api_key.strip()):
            raise UsageError(f"{where}: api_key: give a str that is not empty, or a function that returns one")
        limit = said.pop("timeout", None)
        timeout = None if limit is None else seconds(limit, f"{where}: timeout")
        if timeout == 0:
            raise UsageError(f"{where}: timeout=0 leaves no time to answer; give seconds")
        for name in _TAKEN & said.keys():
            raise UsageError(f"{where}: {name}={said[name]!r} cannot be set: one whole answer is asked for")
        return cls(provider, model, base_url, api_key, timeout, said)


_TEXTS = ("provider", "model", "base_url")


def without_key(where: str, said: Mapping[str, Any]) -> Settings:
    """Settings of a call, which are its step's argument."""
    if said.get("api_key") is not None:
        raise UsageError(f"{where}: api_key cannot be given per call; give it to LLM(...), or set_app_defaults(...)")
    return Settings.given(where, **said)


def retry_of(where: str, retry: object) -> Retry | None:
    if retry is not None and not isinstance(retry, Retry):
        raise UsageError(f"{where}: retry={retry!r}: give a Retry(...)")
    return retry


def combined(places: Sequence[Settings]) -> Settings:
    """What holds, the first one first.

    A model, an address and a key belong to their provider: those of a place that names another provider are left out,
    and so are keys for an address that is not their provider's. Where keys do not go, other secrets do not either.
    """
    provider = next((place.provider for place in places if place.provider is not None), None)
    fitting = [place for place in places if place.provider in (None, provider)]
    # An address that is given without a provider is some other server, which keys from further away are not for.
    address = next((number for number, place in enumerate(fitting) if place.base_url is not None), len(fitting))
    foreign = address < len(fitting) and fitting[address].provider is None
    keys = fitting[: address + 1] if foreign else fitting
    params: dict[str, Any] = {}
    for place in reversed(places):
        own = any(place is one for one in keys)
        params.update({name: value for name, value in place.params.items() if own or name not in _PRIVATE})
    return Settings(
        provider,
        next((place.model for place in fitting if place.model is not None), None),
        next((place.base_url for place in fitting if place.base_url is not None), None),
        next((place.api_key for place in keys if place.api_key is not None), None),
        next((place.timeout for place in places if place.timeout is not None), None),
        {name: value for name, value in params.items() if value is not None},
        trusted=not foreign,
    )


def _text(where: str, name: str, value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise UsageError(f"{where}: {name}={value!r}: give a str that is not empty")
    return value
