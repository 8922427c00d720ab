"""What packages' tests share: a preset that the command would refuse is found, whatever is wrong with it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from offprints.app import RunConfig
from offprints.testing import presets

PAPER = """
slug = "presets-demo"
title = "A paper"
authors = ["A"]
venue = "V"
year = 2020
claim = "It holds."

[[value]]
table = "Table 1"
experiment = "fast"
dataset = "D"
metric = "test/mrr"
value = 0.5
"""


@dataclass
class Model:
    width: int = 8


@dataclass
class Config(RunConfig):
    task: str = "train"
    model: Model = field(default_factory=Model)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package named presets_demo with one preset; returns its checkout."""
    for name, text in {
        "paper.toml": PAPER,
        "src/presets_demo/__init__.py": "",
        "src/presets_demo/conf/config.yaml": "defaults: [schema, {model: small}, _self_, {experiment: null}]\n",
        "src/presets_demo/conf/model/small.yaml": "# A small one.\nwidth: 4\n",
        "src/presets_demo/conf/experiment/fast.yaml": "# @package _global_\n# In no time.\nmodel:\n  width: 2\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    monkeypatch.delitem(sys.modules, "presets_demo", raising=False)
    return tmp_path


def test_presets_are_composed_as_the_command_does_it(package: Path) -> None:
    found = presets("presets_demo", Config)
    assert {name: config.model.width for name, config in found.items()} == {"fast": 2}


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("conf/experiment/slow.yaml", "# @package _global_\n# Slow.\nmodel:\n  widht: 2\n", "widht"),
        ("conf/experiment/slow.yaml", "# @package _global_\n# Slow.\nmodel:\n  width: much\n", "much"),
        (
            "conf/experiment/slow.yaml",
            "# @package _global_\nmodel:\n  width: 2\n",
            "slow.yaml: a line for Hydra",
        ),
        ("conf/experiment/slow.yaml", "# Slow.\ntask: train\n", "slow"),
        ("conf/model/large.yaml", "width: wide\n", "wide"),
        ("../../paper.toml", PAPER.replace("fast", "umls"), "no experiment is called umls"),
        ("../../results/wn18/seed-1.json", "{}", "no experiment is called wn18"),
    ],
)
def test_a_preset_that_cannot_be_read_is_found(package: Path, path: str, text: str, message: str) -> None:
    file = package / "src" / "presets_demo" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    with pytest.raises(Exception, match=message):
        presets("presets_demo", Config)
