"""The import arrows of a package run one way, and what runs the other way is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from arrows import layers, main, offences, read

WHOLE = {
    "__init__": "from conve.training import fit",
    "__main__": "from conve.cli import main",
    "cli": "import hydra\nfrom conve.config import Config\nfrom conve.training import fit",
    "config": "from omegaconf import MISSING",
    "runs": "from offprints.app import Run\nfrom conve.config import Config",
    "training": "import logging\nfrom conve.model import Net\nfrom . import datasets",
    "datasets": "from offprints.data import Dataset",
    "model": "from torch import nn\nfrom conve.loss import Loss\nclass Net(nn.Module): ...",
    "loss": "import torch\nclass Loss(torch.nn.Module): ...",
}
"""A package whose arrows run as they should."""


def written(root: Path, **sources: str) -> Path:
    """A package of these modules, on top of the whole one; returns its folder src."""
    source = root / "packages" / "conve" / "src"
    (source / "conve").mkdir(parents=True)
    (source.parent / "pyproject.toml").touch()
    for name, text in {**WHOLE, **sources}.items():
        (source / "conve" / f"{name}.py").write_text(text)
    return source


def test_a_package_as_it_should_be_has_no_offence(tmp_path: Path) -> None:
    assert list(offences(read(written(tmp_path)))) == []
    assert main(tmp_path) == 0


def test_the_layers_tell_the_pipeline_from_the_command_line_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(tmp_path)
    assert layers(read(source)) == [
        ["__main__"],
        ["cli"],
        ["training"],
        ["model", "runs"],
        ["config", "datasets", "loss"],
    ]
    assert main(tmp_path, ["conve"]) == 0
    assert "conve\n  __main__\n  cli\n" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="there is no ukge: shared, conve"):
        main(tmp_path, ["ukge"])


@pytest.mark.parametrize(
    "loss",
    [
        "from conve.model import Net",
        "def lazily():\n    from conve import model",
        "class Loss:\n    def _inner(self):\n        from .model import Net",
        "from conve import datasets\nfrom conve.training import fit",
    ],
)
def test_a_circle_is_found_wherever_the_import_stands(tmp_path: Path, loss: str) -> None:
    found = list(offences(read(written(tmp_path, loss=loss))))
    assert any("imports run in a circle: " in line and "conve.loss" in line for line in found)


@pytest.mark.parametrize(
    "loss",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from conve.model import Net",
        "class Loss:\n    def explain(self):\n        from conve.model import explain\n        return explain(self)",
    ],
)
def test_types_and_an_object_that_hands_itself_up_are_no_arrows(tmp_path: Path, loss: str) -> None:
    assert list(offences(read(written(tmp_path, loss=loss)))) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("training", "from conve import cli", "training.py: imports conve.cli; the command line is the top"),
        ("training", "def f():\n    import conve.cli", "training.py: imports conve.cli"),
        ("training", "from conve import fit", "training.py: imports the package itself"),
        ("training", "from offprints.app import Run", "training.py: imports offprints.app.Run, which is for the edge"),
        ("training", "def f():\n    import omegaconf", "training.py: imports omegaconf, which is for the edge"),
        ("loss", "import logging", "model.py: is a model, and by way of conve.loss imports logging"),
        ("loss", "from offprints import data", "model.py: is a model, and by way of conve.loss imports offprints.data"),
        ("loss", "from conve import config", "model.py: is a model, and needs conve.config"),
        ("loss", "from conve.datasets import load", "model.py: is a model, and needs conve.datasets"),
    ],
)  # fmt: skip
def test_what_runs_upwards_is_named(tmp_path: Path, module: str, source: str, complaint: str) -> None:
    found = list(offences(read(written(tmp_path, **{module: source}))))
    assert any(complaint in line for line in found), found
