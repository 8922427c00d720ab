"""The small network that learns from the good scans alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from offprints.errors import InputError

from m3dm.detector import M3DM, DetectorOptions
from m3dm.features import extract
from m3dm.model_file import load_model, save_model
from m3dm.scan import Scan, ScanError
from m3dm.smallnet import SmallNet, SmallNetOptions, SmallNetTrainer, _unturned, train_smallnet

FEW = SmallNetOptions(epochs=12, width=16, places=128)


@pytest.fixture(scope="module")
def trained(good_scans: list[Scan]) -> tuple[SmallNet, list[float]]:
    network, outcome = train_smallnet(good_scans, FEW)
    return network, [row["train/loss"] for row in outcome.history]


def test_two_looks_at_a_place_come_to_find_each_other(trained: tuple[SmallNet, list[float]]) -> None:
    losses = trained[1]
    # Smooth parts look alike at most places. One who sees nothing has the logarithm of the places.
    assert losses[0] > np.log(FEW.places) - 0.1
    assert losses[-1] < np.log(FEW.places) - 0.4


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_a_map_is_turned_back_to_where_its_image_lay(turn: int, flip: bool) -> None:
    image = torch.arange(48.0).reshape(3, 4, 4)
    turned = torch.rot90(image, turn, (1, 2))
    assert (_unturned(turned.flip(2) if flip else turned, turn, flip) == image).all()


def test_its_features_are_those_of_patches_and_the_same_at_each_look(trained, good_scans: list[Scan]) -> None:
    network = trained[0]
    found = network(good_scans[0])
    assert found.grid == (56, 56) and found.values.shape == (3136, 16)
    assert (network(good_scans[0]).values == found.values).all()
    assert 0 < found.valid.mean() < 0.6
    with pytest.raises(ScanError, match="no rgb"):
        network(good_scans[0].only("xyz"))


def test_a_detector_with_it_comes_back_from_its_file(trained, good_scans, test_scans, tmp_path: Path) -> None:
    detector = M3DM(rgb=trained[0], options=DetectorOptions(mode="rgb"))
    detector.fit_features([extract(scan, None, trained[0]) for scan in good_scans])
    save_model(detector, tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert again.predict(test_scans[4]).score == detector.predict(test_scans[4]).score
    assert again.rgb.describe() == trained[0].describe()


def test_a_stopped_training_goes_on_to_the_same_weights(good_scans: list[Scan], tmp_path: Path) -> None:
    options = SmallNetOptions(epochs=3, width=8, places=32, save_every=0.0)

    def run(directory: Path | None, stop_after: int | None = None) -> SmallNet:
        step, done = SmallNetTrainer.step, []

        def stopping(self: SmallNetTrainer, batch: int) -> torch.Tensor:
            if stop_after is not None and len(done) == stop_after:
                raise KeyboardInterrupt
            done.append(batch)
            return step(self, batch)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SmallNetTrainer, "step", stopping)
            return train_smallnet(good_scans[:3], options, directory=directory)[0]

    whole = run(None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=4)
    resumed = run(tmp_path)
    for name, value in whole.network.state_dict().items():
        assert (resumed.network.state_dict()[name] == value).all(), name


def test_defective_scans_and_impossible_options_are_refused(test_scans: list[Scan]) -> None:
    with pytest.raises(InputError, match="good parts"):
        train_smallnet(test_scans[2:3], FEW)
    for wrong in ({"width": 1}, {"temperature": 0.0}, {"places": 1}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            SmallNetOptions(**wrong)
