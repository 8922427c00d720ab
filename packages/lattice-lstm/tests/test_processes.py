"""Several processes train what one does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.distributed
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from lattice_lstm import Lexicon, Tagger, TaggerOptions, TrainingOptions, synthetic_corpus

CORPUS = synthetic_corpus(41, 10, 10)  # the last batch has one sentence: nothing for the second process


def trained(optimizer: str) -> tuple[dict[str, np.ndarray], list[float]]:
    """Weights and losses of some epochs, on this process alone or on its share of every batch."""
    names = sorted({one.text[b:e] for one in CORPUS.train for b, e, _ in one.spans})
    # No dropout: two processes draw other masks than one.
    options = TaggerOptions(
        char_size=8, word_size=6, hidden_size=8, dropout=0.0, own_dropout=0.0, unknown_share=0.0
    )
    tagger = Tagger(options, Lexicon(names[::2]), seed=1)
    training = TrainingOptions(epochs=3, learning_rate=0.01, batch_size=8, optimizer=optimizer)
    history = tagger.fit(CORPUS.train, CORPUS.valid, training).history
    weights = {name: value.numpy() for name, value in tagger.built.model.state_dict().items()}
    return weights, [row[key] for row in history for key in ("train/loss", "valid/f1")]


def one_of_two(optimizer: str) -> tuple[dict[str, np.ndarray], list[float]]:
    torch.set_num_threads(1)  # before anything computes: threads of OpenMP do not live on in a fork
    torch.distributed.init_process_group("gloo")
    try:
        return trained(optimizer)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_two_processes_train_what_one_does(optimizer: str) -> None:
    """torchrun's own launcher; its processes are forks, so that neither has to import torch again."""
    two_here = LaunchConfig(
        1, 1, 2, rdzv_backend="c10d", rdzv_endpoint="localhost:0", start_method="fork", max_restarts=0
    )
    two = elastic_launch(two_here, one_of_two)(optimizer)
    weights, told = trained(optimizer)
    for rank in range(2):
        np.testing.assert_allclose(two[rank][1], told, rtol=1e-4)
        assert two[rank][0].keys() == weights.keys()
        for name, values in weights.items():
            np.testing.assert_allclose(two[rank][0][name], values, atol=2e-5, err_msg=name)
