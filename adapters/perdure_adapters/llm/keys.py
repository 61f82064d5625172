"""Keys: read anew for each request, and kept out of whatever is said about it."""

from __future__ import annotations

import inspect
import json
import os
import re
from urllib.parse import quote

import anyio

from perdure_adapters.llm.errors import NotConfigured, ServiceUnavailable
from perdure_adapters.llm.providers import DIALECTS
from perdure_adapters.llm.settings import Key, Settings

#: What a server of one's own is sent, which asks for none.
NO_KEY = "unused"
_HIDDEN = "[key]"
#: A shorter key is only hidden where it stands alone: it may be part of any word.
_SHORT = 8
_LONG = 16


class Secret:
    """A key that no traceback shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value.strip()

    def checked(self) -> Secret:
        """Raises NotConfigured for what no header can hold. (Here and not above, where the key is a variable.)"""
        if not self._value.isascii() or not self._value.isprintable() or " " in self._value:
            raise NotConfigured("the key has blanks in it, or other characters that a key cannot have; look at it")
        return self

    def reveal(self) -> str:
        return self._value

    @property
    def long(self) -> bool:
        """Too long to be in a text by chance."""
        return len(self._value) >= _LONG

    def hidden(self, text: str) -> str:
        """The text without the key."""
        key = self._value
        if key == NO_KEY:
            return text
        for form in {key, json.dumps(key)[1:-1], quote(key, safe="")}:
            if len(form) < _SHORT:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", _HIDDEN, text)
            else:
                text = text.replace(form, _HIDDEN)
        return text


async def key_for(settings: Settings) -> Secret:
    """Raises NotConfigured, naming the variable, where there is none."""
    if settings.api_key is not None:
        return Secret(await _asked(settings.api_key)).checked()
    dialect = DIALECTS[settings.provider or "openai"]
    names = dialect.keys if settings.trusted else ()
    for name in names:
        if os.environ.get(name, "").strip():
            return Secret(os.environ[name]).checked()
    if settings.base_url is not None or (dialect.address is not None and os.environ.get(dialect.address)):
        return Secret(NO_KEY)
    raise NotConfigured(f"there is no key: set {' or '.join(names)} in the environment, or give api_key= to LLM(...)")


async def _asked(key: Key) -> str:
    if isinstance(key, str):
        return key
    failure = ""
    given: object = None
    try:
        given = (
            await key()
            if inspect.iscoroutinefunction(key)
            else await anyio.to_thread.run_sync(key, abandon_on_cancel=True)
        )
        if inspect.isawaitable(given):
            given = await given
    except Exception as error:  # of which no more may be said: it can have the key in it
        failure = type(error).__name__
    if failure:
        raise ServiceUnavailable(f"the function given as api_key raised {failure}; try again later") from None
    if not isinstance(given, str) or not given.strip():
        what = "blanks" if isinstance(given, str) else type(given).__name__
        raise NotConfigured(f"the function given as api_key returned {what}; let it return the key")
    return given
