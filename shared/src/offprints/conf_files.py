"""The YAML files of a package's conf/ folder: groups, their choices, and what each says about itself."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from omegaconf import OmegaConf


def conf_folder(package: str) -> Path:
    """The conf/ folder of a package.

    Args:
        package: import name; its files have to lie unzipped on the disk, as pip puts them.
    """
    return Path(str(files(package))) / "conf"


def config_groups(package: str) -> dict[str, dict[str, str]]:
    """The config groups of a package.

    Args:
        package: import name.

    Returns:
        Group -> choice -> the first comment line of its file ("" without one), both sorted.
    """
    groups: dict[str, dict[str, str]] = {}
    for group, name, file in _choices(conf_folder(package), ""):
        if group:
            groups.setdefault(group, {})[name] = _first_comment(file.read_text(encoding="utf-8"))
    return {group: dict(sorted(choices.items())) for group, choices in sorted(groups.items())}


def default_choice(package: str, group: str) -> str | None:
    """What config.yaml's defaults list chooses for a group; None if nothing."""
    file = conf_folder(package) / "config.yaml"
    if not file.is_file():
        return None
    content = OmegaConf.to_container(OmegaConf.create(file.read_text(encoding="utf-8")))
    defaults = content.get("defaults", []) if isinstance(content, dict) else []
    for entry in defaults:
        if isinstance(entry, dict):
            for key, choice in entry.items():
                if key.removeprefix("optional ").removeprefix("override ").strip("/") == group:
                    return None if choice is None else str(choice)
    return None


def _choices(folder: Path, group: str) -> Iterator[tuple[str, str, Path]]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.name.startswith("_"):
            yield from _choices(entry, f"{group}/{entry.name}".strip("/"))
        elif entry.name.endswith(".yaml"):
            yield group, entry.name.removesuffix(".yaml"), entry


def _first_comment(text: str) -> str:
    for line in text.splitlines():
        if not line.startswith("#"):
            if line.strip():
                return ""
            continue
        comment = line.lstrip("# ").strip()
        if comment and not comment.startswith("@package"):
            return comment
    return ""
