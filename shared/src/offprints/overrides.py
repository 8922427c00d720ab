"""What the command line adds to the user's options: those of a resumed run, and where run directories lie."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import OmegaConf

from offprints import hardware
from offprints.conf_files import config_groups, default_choice
from offprints.errors import InputError
from offprints.plain_yaml import read_options

STORED = "overrides.yaml"
"""In a run directory: the user's options, as a list. It is written first; a directory without it holds no run."""


def resumed(overrides: Sequence[str], multirun: bool) -> tuple[list[str], Path | None]:
    """Put the stored options of the run named by `resume=DIR` before the new ones.

    Args:
        overrides: the user's options.
        multirun: whether they are a sweep.

    Returns:
        All options, a new one in place of a stored one with the same key; and DIR, or None without `resume`.

    Raises:
        InputError: DIR holds no run, or a sweep is to be resumed.
    """
    keys = override_keys(overrides)
    directory = next((value for key, value in keys if key == "resume" and value not in ("", "None")), None)
    if directory is None:
        return list(overrides), None
    if multirun:
        raise InputError(
            "resume= goes on with one run; leave out -m and resume the runs of a sweep one by one"
        )
    folder = Path(directory)
    stored = _read_stored(folder)
    new = {key for key, _ in keys}
    try:
        stored_keys = override_keys(stored)
    except (HydraException, InputError) as error:
        first = str(error).splitlines()[0]
        raise InputError(
            f"{folder / STORED} holds what is no option of the form key=value: {first}"
        ) from error
    kept = [text for text, (key, _) in zip(stored, stored_keys, strict=True) if key not in new]
    return [*kept, *overrides], folder


def run_directories(package: str, slug: str, overrides: Sequence[str], resume: Path | None) -> list[str]:
    """Hydra options for the run directory, and for a quiet Hydra; what the user sets is left alone.

    One run goes to runs/<task>-<subject>/<date_time>-<seed>, a sweep's runs to
    runs/sweep/<date_time>/<number>-<task>-<subject>-<seed>. The subject is the experiment, that of the run whose
    checkpoint is used, or the dataset.

    Args:
        package: import name.
        slug: name of the console script.
        overrides: the user's options.
        resume: the run directory to go on in.
    """
    keys = dict(override_keys(overrides))
    subject = _subject(package, slug, keys)
    stamp = _start_stamp()
    run = f"runs/${{task}}-{subject}/{stamp}-${{seed}}" if resume is None else str(resume)
    ours = {
        "hydra.run.dir": quoted(run),
        "hydra.sweep.dir": quoted(f"runs/sweep/{stamp}"),
        "hydra.sweep.subdir": quoted(f"${{hydra.job.num}}-${{task}}-{subject}-${{seed}}"),
        "hydra.job.name": slug,
        "hydra.output_subdir": "null",
        "hydra/job_logging": "none",
        "hydra/hydra_logging": "none",
    }
    if resume is not None:
        keys.pop("hydra.run.dir", None)
    return [f"{key}={value}" for key, value in ours.items() if key not in keys]


def override_keys(overrides: Sequence[str]) -> list[tuple[str, str]]:
    """Key (or group) and value, as text, of each option.

    Raises:
        OverrideParseException: an option is not in Hydra's grammar.
        InputError: a number in it is too long.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except ValueError as error:  # a whole number of thousands of digits
        raise InputError(f"cannot read the options: {error}") from error
    return [(item.key_or_group, "" if item.is_delete() else str(item.value())) for item in parsed]


def _read_stored(folder: Path) -> list[str]:
    path = folder / STORED
    if not folder.is_dir():
        raise InputError(
            f"resume={folder}: there is no such directory; name a run directory, such as runs/train-x/..."
        )
    if not path.exists():
        raise InputError(
            f"resume={folder}: it holds no {STORED}, so no run began there; start one with hydra.run.dir={folder}"
        )
    stored = OmegaConf.to_container(read_options(path))
    if not isinstance(stored, list) or not all(isinstance(item, str) for item in stored):
        raise InputError(f"{path} is not a list of options; it was changed after the run wrote it")
    return [str(item) for item in stored]


def _subject(package: str, slug: str, keys: dict[str, str]) -> str:
    """The interpolation that names what a run is about."""
    if keys.get("experiment", default_choice(package, "experiment")) not in (None, "", "None"):
        return "${hydra.runtime.choices.experiment}"
    if keys.get("checkpoint") not in (None, "", "None"):
        trained = Path(keys["checkpoint"])  # runs/train-umls/<date_time>-<seed>: umls
        return re.sub(r"[^\w.-]", "_", trained.parent.name.partition("-")[2] or trained.name)
    if "dataset" in config_groups(package):
        return "${hydra.runtime.choices.dataset}"
    return slug


def _start_stamp() -> str:
    """Local time to the millisecond, so that runs started together keep apart; one and the same for torchrun's processes."""
    if hardware.world_size() > 1:
        import psutil

        started = psutil.Process(os.getppid()).create_time()
    else:
        started = time.time()
    return time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(started)) + f".{int(started % 1 * 1000):03d}"


def quoted(text: str) -> str:
    """A value in Hydra's grammar, in quotes if it needs them."""
    if re.fullmatch(r"[\w./-]+", text):
        return text
    # A backslash counts there only before a quote, that at the end included.
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), text) + "'"
