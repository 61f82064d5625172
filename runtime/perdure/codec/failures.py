"""Errors as they are recorded, and as they are raised again.

Live code gets its errors through the record too, so that it sees exactly what a replay will see.
"""

from __future__ import annotations

import traceback
from functools import partial
from typing import Any

import attrs
import orjson

from perdure.codec.lookup import class_named, name_of
from perdure.codec.misfit import shown
from perdure.codec.rebuilding import args_of, arguments_of, made, set_state, state_of
from perdure.codec.recorded import Recorder, clean, restored
from perdure.errors import ActivityFailed

MAX_FAILURE = 64 * 1024
MAX_TRACEBACK = 4096
_DEPTH = 5
_LIMITS = ((49_152, 2000), (8192, 500), (1024, 100), (128, 40), (16, 8))
"""Characters of one string and values in all: the first that makes a record small enough."""


@attrs.frozen
class Failure:
    """An error as JSON data. `args` and `state` are written by `recorded.Recorder`.

    `arguments` is set where the class needs more than `args` to be made. A record with `args` None
    stands for an error that was nested too deeply to be recorded with its contents.
    """

    type: str
    message: str
    args: list[Any] | None = None
    state: dict[str, Any] = attrs.field(factory=dict)
    notes: list[str] = attrs.field(factory=list)
    traceback: str = ""
    cause: Failure | None = None
    arguments: list[Any] | None = None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Never fails, whatever the error's own methods do."""
        trace = _traceback(error)
        for length, room in _LIMITS:
            depths: list[int] = []
            recorder = Recorder(length, room, partial(_nested, depths))
            try:
                failure = attrs.evolve(_record(error, recorder, depths), traceback=trace)
                if len(orjson.dumps(failure._data())) < MAX_FAILURE:
                    return failure
            except Exception:
                break
        return cls(clean(name_of(type(error)))[:500], clean(_message(error))[:1024], traceback=trace)

    def to_json(self) -> str:
        return orjson.dumps(self._data()).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Failure:
        return cls._from_data(orjson.loads(text))

    def rebuild(self) -> BaseException:
        """An exception of the recorded class, or ActivityFailed where that cannot be had here."""
        cause = self.cause.rebuild() if self.cause is not None else None

        def inner(data: Any) -> BaseException:
            if data is None:
                return cause if cause is not None else ActivityFailed("(not recorded)")
            return Failure._from_data(data).rebuild()

        error = self._made(inner)
        if cause is not None:  # assigning None would hide the context
            error.__cause__ = cause
        for note in self.notes:
            error.add_note(note)
        return error

    def _made(self, inner: Any) -> BaseException:
        found = class_named(self.type)
        if found is not None and issubclass(found, BaseException) and self.args is not None:
            try:
                args = tuple(restored(self.args, inner))
                arguments = args if self.arguments is None else tuple(restored(self.arguments, inner))
                error = made(found, arguments, args)
                set_state(error, restored(self.state, inner))
                return error
            except Exception:
                return ActivityFailed(self.message, type=self.type)
        return ActivityFailed(self.message, type=self.type)

    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = {"type": self.type, "message": self.message, "args": self.args}
        for name in ("arguments", "state", "notes", "traceback"):
            value = getattr(self, name)
            if value:
                data[name] = value
        if self.cause is not None:
            data["cause"] = self.cause._data()
        return data

    @classmethod
    def _from_data(cls, data: dict[str, Any]) -> Failure:
        cause = data.get("cause")
        known = {name: data[name] for name in ("args", "arguments", "state", "notes", "traceback") if name in data}
        return cls(
            str(data.get("type", "")),
            str(data.get("message", "")),
            **known,
            cause=None if cause is None else cls._from_data(cause),
        )


def _record(error: BaseException, recorder: Recorder, depths: list[int]) -> Failure:
    """`depths` grows by one for each error around this one."""
    name = clean(name_of(type(error)))[:500]
    message = recorder.text(_message(error))
    if len(depths) > _DEPTH:
        return Failure(name, message)
    depths.append(1)
    try:
        cause = error.__cause__
        args, arguments = args_of(error), arguments_of(error)
        more = len(arguments) != len(args) or any(a is not b for a, b in zip(arguments, args, strict=True))
        state: dict[str, Any] = {}
        for key, value in state_of(error).items():
            if recorder.full:
                break
            # the same object must be the same object again
            same = cause is not None and value is cause and len(depths) <= _DEPTH
            state[clean(key)[:200]] = {"$": "error", "v": None} if same else recorder.value(value)
        return Failure(
            name,
            message,
            [recorder.value(item) for item in args],
            state,
            [recorder.text(str(note)) for note in getattr(error, "__notes__", ())][:20],
            cause=None if cause is None or len(depths) > _DEPTH else _record(cause, recorder, depths),
            arguments=[recorder.value(item) for item in arguments] if more else None,
        )
    finally:
        depths.pop()


def _nested(depths: list[int], error: BaseException, recorder: Recorder) -> dict[str, Any]:
    return _record(error, recorder, depths)._data()


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"<{type(error).__name__}, whose str raises {type(broken).__name__}>"


def _traceback(error: BaseException) -> str:
    """The end of it: the innermost calls are the last lines."""
    try:
        text = clean("".join(traceback.format_exception(error)))
    except Exception as broken:
        text = f"(no traceback: {shown(broken)})"
    return text.encode()[-MAX_TRACEBACK:].decode("utf-8", "ignore")
