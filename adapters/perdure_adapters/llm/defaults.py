"""What an app's calls of models have in common."""

from __future__ import annotations

from typing import Any

from perdure import App, UsageError
from perdure.definitions.ambient import belongings
from perdure_adapters.llm.providers import Provider
from perdure_adapters.llm.settings import Key, Settings

_KEY = "perdure_adapters.llm"


def set_app_defaults(
    app: App,
    /,
    *,
    provider: Provider | None = None,
    model: str | None = None,
    base_url: str | None = None,
    api_key: Key | None = None,
    **params: Any,
) -> None:
    """How models are asked in this app's workflows, where neither the call nor its definition nor its LLM says it.

    They are looked up when a request is made, and never recorded: changing them is safe while workflows are running.
    A second call replaces the first. Raises UsageError for what makes no sense.
    """
    if "retry" in params:
        raise UsageError("set_app_defaults(retry=...): the policy of all the app's activities is App(retry=...)")
    app.belongings[_KEY] = Settings.given(
        "set_app_defaults", provider=provider, model=model, base_url=base_url, api_key=api_key, **params
    )


def app_defaults() -> Settings:
    """Of the app whose activity is running."""
    found: Settings | None = belongings().get(_KEY)
    return Settings() if found is None else found
