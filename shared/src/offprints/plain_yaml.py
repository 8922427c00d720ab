"""YAML of anybody's: the options that a run leaves in files, and how deep a text may go before it is read."""

from __future__ import annotations

from pathlib import Path

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from offprints.errors import InputError

_DEEP = 32  # levels; what people write has three or four


def read_options(path: Path) -> DictConfig | ListConfig:
    """The options in a YAML file, with nothing of them merged or resolved yet.

    Args:
        path: config.yaml or overrides.yaml of a run.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is no YAML of plain options: no UTF-8, broken, nested deeper than 32 levels, or it repeats a part by `*name`, which
            a short file can do a billion times.
    """
    try:
        text = path.read_text(encoding="utf-8")
        require_shallow(text, path)
        found = OmegaConf.create(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path}{line}: this is no YAML of options: {error.problem}") from error
    except InputError:
        raise
    # OmegaConf asserts that a text is not a single number.
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, AssertionError) as error:
        why = (str(error) or "a single value").splitlines()[0]
        raise InputError(f"{path}: this is no YAML of options: {why}") from error
    if not isinstance(found, (DictConfig, ListConfig)):
        raise InputError(f"{path}: one value, where a list of options or keys with values were expected")
    return found


def require_shallow(text: str, name: str | Path, aliases: bool = False) -> None:
    """Walk through the events of a text, which needs no recursion as composing them does.

    Args:
        text: YAML.
        name: of the file, for messages.
        aliases: whether *name may stand for a part; only for who does not copy the parts.

    Raises:
        InputError: it is nested deeper than 32 levels, or repeats a part where it must not.
        yaml.YAMLError: it is no YAML.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) and not aliases:
            line = event.start_mark.line + 1
            raise InputError(f"{name}, line {line}: *{event.anchor} repeats a part; write it out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEP:
            raise InputError(f"{name}, line {event.start_mark.line + 1}: nested deeper than {_DEEP} levels")
