"""The game's protocol modules, made anew for today's protobuf.

`s2clientprotocol` ships modules that a protobuf compiler of 2018 wrote. Protobuf refuses them since 4.21, except in its implementation in plain
Python, which is chosen before the first import of protobuf in a process and decodes an observation many times slower. Each of these modules
holds the description of its messages in bytes, though, and from these today's protobuf builds the same classes.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PACKAGE = "s2clientprotocol"


def build_protocol_modules() -> None:
    """Put a module of today's kind into sys.modules for each one of the package; those that are there already stay.

    Raises:
        ImportError: the package is not installed, or protobuf is older than 3.20, which has no builder but takes the package as it is.
        ValueError: a module holds no description.
    """
    from google.protobuf.internal import builder

    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{PACKAGE} is not installed", name=PACKAGE)
    folder = Path(next(iter(spec.submodule_search_locations)))
    sources = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*_pb2.py")}
    package = importlib.import_module(PACKAGE)

    def build(name: str) -> None:
        qualified = f"{PACKAGE}.{name}"
        if qualified in sys.modules:
            return
        for other in _imported(sources[name]):
            build(other)
        module = ModuleType(qualified)
        module.__file__ = str(folder / f"{name}.py")
        _fill(module, _description(sources[name], name), builder)
        sys.modules[qualified] = module
        setattr(package, name, module)

    for name in sources:
        build(name)


def _fill(module: ModuleType, description: bytes, builder: ModuleType) -> None:
    from google.protobuf import descriptor_pool

    file = descriptor_pool.Default().AddSerializedFile(description)
    names = vars(module)
    names["DESCRIPTOR"] = file
    builder.BuildMessageAndEnumDescriptors(file, names)
    builder.BuildTopDescriptorsAndMessages(file, module.__name__, names)


def _imported(source: ast.Module) -> list[str]:
    """Modules of the package that a module imports; they are built before it."""
    return [
        alias.name
        for node in source.body
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE
        for alias in node.names
    ]


def _description(source: ast.Module, name: str) -> bytes:
    """The bytes that describe a module's messages: given as serialized_pb, in old ones as text, or to AddSerializedFile."""
    for node in ast.walk(source):
        if not isinstance(node, ast.Call):
            continue
        added = isinstance(node.func, ast.Attribute) and node.func.attr == "AddSerializedFile"
        given = [keyword.value for keyword in node.keywords if keyword.arg == "serialized_pb"]
        for value in [*(node.args if added else []), *given]:
            for constant in ast.walk(value):
                found = constant.value if isinstance(constant, ast.Constant) else None
                if isinstance(found, str | bytes):
                    return found.encode("latin1") if isinstance(found, str) else found
    raise ValueError(f"{PACKAGE}.{name} holds no description of its messages")
