"""One clear message for an error that is the user's to mend; None for a bug of ours."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

from hydra.errors import (
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from offprints.conf_files import config_groups
from offprints.errors import InputError

T = TypeVar("T")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def message_for(error: BaseException, package: str, config: type) -> str | None:
    """What to tell the user about an error.

    Args:
        error: what was raised.
        package: import name, whose config groups are offered as corrections.
        config: its typed config, whose keys are offered as corrections.

    Returns:
        A message, or None if the error is a bug and needs its traceback.
    """
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OverrideParseException):
        return _grammar_message(error, package)
    if isinstance(error, MissingConfigException):
        return _choice_message(error)
    if isinstance(error, HydraException):
        return _composition_message(error, package, config)
    if isinstance(error, OSError) and (
        error.filename is not None
        or error.errno in _DISK
        or isinstance(error, (FileNotFoundError, PermissionError))
    ):
        return _file_message(error)
    return None


def config_message(error: Exception) -> str:
    """The message of an OmegaConf error, or of a ValueError that a config class raised: where and what."""
    first = str(error).splitlines()[0]
    key = re.search(r"full_key: (\S+)", str(error))
    return f"{key.group(1)}: {first}" if key else first


def closest(wrong: str, valid: Iterable[str]) -> str:
    """The end of a message: the nearest valid name, and all of them."""
    names = sorted(set(valid))
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    # `dim` for `model.dim`: the last part alone is what people remember.
    near = near or [name for name in names if name.rpartition(".")[2] == wrong.rpartition(".")[2]][:1]
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{hint} Valid: {', '.join(names)}" if hint else f". Valid: {', '.join(names)}"


def _grammar_message(error: OverrideParseException, package: str) -> str:
    text = error.override
    if "=" in text:
        hint = "put a value with spaces or signs in quotes that the shell leaves, \"key='a = b'\""
        return f"cannot read the option {text!r}: {error.message.splitlines()[0]}; {hint}"
    groups = [group for group, choices in config_groups(package).items() if text in choices]
    hint = f"; did you mean {groups[0]}={text}?" if groups else ", such as seed=1"
    return f"cannot read the option {text!r}: options are written key=value{hint}"


def _choice_message(error: MissingConfigException) -> str:
    if not error.missing_cfg_file or not error.options:
        return str(error).strip()
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    return f"{group}={name}: there is no such {group}{closest(name, error.options)}"


def _composition_message(error: HydraException, package: str, config: type) -> str:
    cause = error.__cause__
    text = str(error).strip()
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        key = unknown.group(1)
        if isinstance(cause, OmegaConfBaseException) and "not in" not in str(cause):
            return config_message(cause)
        return f"there is no option {key!r}{closest(key, _nearby(key, [*_keys(config), *config_groups(package)]))}"
    merging = re.search(r"Error merging override (.+)", text)
    if merging and cause is not None:
        return f"{merging.group(1)}: {str(cause).splitlines()[0]}"
    if isinstance(cause, OmegaConfBaseException):
        return f"{text.splitlines()[0]}: {config_message(cause)}"
    return text


def _file_message(error: OSError) -> str:
    reason = error.strerror or str(error)
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return f"{error.filename} is a file where a folder should be"
    if error.errno in _DISK or isinstance(error, PermissionError):
        place = error.filename or os.getcwd()
        return f"cannot write or read {place}: {reason}"
    return f"{error.filename}: {reason}" if error.filename is not None else str(error)


def _keys(config: type) -> Iterator[str]:
    """Every dotted key of a typed config."""
    structure = OmegaConf.to_container(OmegaConf.structured(config), throw_on_missing=False)
    yield from _dotted(structure, "")


def _dotted(node: object, prefix: str) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _dotted(value, f"{prefix}{key}.")


def required(value: T | None, option: str) -> T:
    """An option that a task cannot do without.

    Args:
        value: what the user gave.
        option: how it is given, such as "checkpoint=<run directory>".

    Raises:
        InputError: it was not given.
    """
    if value is None:
        raise InputError(f"this task needs {option}")
    return value


def _nearby(key: str, names: list[str]) -> list[str]:
    """The options worth listing for a wrong one: those of the same node if it exists, else the top level."""
    parent = key.rpartition(".")[0]
    siblings = [name for name in names if name.rpartition(".")[0] == parent]
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    same = [name for name in names if name.rpartition(".")[2] == key.rpartition(".")[2]]
    found = [*(siblings or [name for name in names if "." not in name]), *near, *same]
    return [name for name in found if name != parent]  # `model` is no correction of `model.dmi`
