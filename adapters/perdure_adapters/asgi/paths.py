"""Where a request goes, within the ingress."""

from __future__ import annotations

from starlette.types import Scope


def path_in(scope: Scope) -> str:
    """The path, decoded, without what the ingress is mounted at; "/" for its root, with or without the slash."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):  # some servers leave it out
        path = path[len(root) :]
    return path or "/"
