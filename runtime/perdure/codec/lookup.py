"""Classes by name, among the modules that are already imported."""

from __future__ import annotations

import os
import sys


def name_of(cls: type) -> str:
    """`module:qualified name`, by which any process that imports the module can find the class."""
    return f"{_importable(cls.__module__)}:{cls.__qualname__}"


def _importable(module_name: str) -> str:
    """The name under which others import a module: the program itself is only `__main__` to itself."""
    if module_name != "__main__":
        return module_name
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        name: str = spec.name
        return name
    file = getattr(main, "__file__", None)
    return module_name if file is None else os.path.splitext(os.path.basename(file))[0]


def class_named(name: str) -> type | None:
    """The class of this `module:qualified name`, or None.

    Reads the modules' own dictionaries, so that no module `__getattr__` runs and nothing is
    imported, and takes only what calls itself by that name.
    """
    module_name, _, qualname = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None and module_name == _importable("__main__"):
        module_name, module = "__main__", sys.modules["__main__"]
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
