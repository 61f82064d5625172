"""Python values as JSON text and back, by declared type, without loss.

A value that cannot be kept is refused when it is given (InvalidInput); a type that cannot be kept
is refused when it is declared (UsageError).
"""

from __future__ import annotations

from perdure.codec.failures import Failure
from perdure.codec.hints import function_hints
from perdure.codec.parameters import Parameters
from perdure.codec.text import MAX_PAYLOAD
from perdure.codec.values import Codec, codec_for

__all__ = ["MAX_PAYLOAD", "Codec", "Failure", "Parameters", "codec_for", "function_hints"]
