"""Classes by name, among the modules that are already imported."""

from __future__ import annotations

import sys


def name_of(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def class_named(name: str) -> type | None:
    """The class of this `module:qualified name`, or None.

    Reads the modules' own dictionaries, so that no module `__getattr__` runs and nothing is
    imported, and takes only what calls itself by that name.
    """
    module_name, _, qualname = name.partition(":")
    module = sys.modules.get(module_name)
    found: object = None
    namespace = getattr(module, "__dict__", {})
    for part in qualname.split("."):
        found = namespace.get(part)
        if not isinstance(found, type):
            return None
        namespace = vars(found)
    if isinstance(found, type) and found.__module__ == module_name and found.__qualname__ == qualname:
        return found
    return None
