from __future__ import annotations

from using.conftest import own_url

__all__ = ["own_url"]
