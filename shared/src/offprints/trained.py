"""Back from the directory of a training run to the options it was started with and the weights it ended with.

    config = options_of_run(directory, Config)
    model = build_model(config.model, graph)
    model.load_state_dict(weights_of_run(Checkpoints(directory / "checkpoints", "conve", made_of(model, graph))))

What lies between the two, data and a model made from the options, is the package's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from offprints.checkpoint import Checkpoints
from offprints.errors import InputError, MissingFile
from offprints.plain_yaml import read_options
from offprints.user_errors import config_message

C = TypeVar("C")


class MissingRun(MissingFile):
    """A directory holds no training run."""


def options_of_run(directory: str | Path, kind: type[C]) -> C:
    """The options that a run was started with.

    Args:
        directory: of the run, where the command line put its config.yaml.
        kind: the package's class of options; what the file does not name has its default.

    Raises:
        MissingRun: there is no config.yaml.
        InputError: it is not of this class: of another package, say, or edited.
    """
    path = Path(directory) / "config.yaml"
    if not path.is_file():
        raise MissingRun(f"{directory} is not the directory of a run: no config.yaml in it")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(kind), read_options(path))
        options = OmegaConf.to_object(merged)
    except InputError:
        raise
    except (OmegaConfBaseException, ValueError) as error:
        raise InputError(
            f"{path} does not hold the options of such a run: {config_message(error)}"
        ) from error
    assert isinstance(options, kind)
    return options


def weights_of_run(checkpoints: Checkpoints) -> dict[str, Any]:
    """The model's state of the best epoch, or of the last one where nothing was validated; for `load_state_dict`.

    Args:
        checkpoints: that an `EpochLoop` kept.

    Raises:
        MissingRun: none was kept yet.
        CheckpointError: it is damaged, or of other data or shapes.
    """
    found = checkpoints.load_best() or checkpoints.load_last()
    if found is None:
        raise MissingRun(f"no checkpoint in {checkpoints.directory} yet: train first")
    weights: dict[str, Any] = found.state["model"]
    return weights
