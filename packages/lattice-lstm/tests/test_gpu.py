"""On a GPU: the numbers of the CPU. All of it is skipped where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from offprints.errors import InputError

from lattice_lstm import Lexicon, Tagger, TaggerOptions, TrainingOptions, synthetic_corpus
from lattice_lstm.cell import MERGES
from lattice_lstm.crf import LinearChainCRF
from lattice_lstm.lattice import Lattice
from lattice_lstm.layer import LatticeLSTM
from lattice_lstm.lexicon import Matches

DEVICES = ("cpu", "cuda")
CORPUS = synthetic_corpus(80, 30, 60)
NAMES = sorted({one.text[b:e] for one in CORPUS.train for b, e, _ in one.spans})
KINDS = {
    "char": TaggerOptions(encoder="char", bichar=True, softword=True),
    "lattice": TaggerOptions(encoder="lattice"),
    "lattice_as_published": TaggerOptions(words="table", shared_words=False),
    "softlexicon": TaggerOptions(encoder="softlexicon"),
    "word_lstm": TaggerOptions(encoder="word", word_characters="lstm"),
    "word_cnn": TaggerOptions(encoder="word", word_characters="cnn"),
}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("merge", MERGES)
def test_the_lattice_reads_and_learns_as_on_the_cpu(merge: str) -> None:
    starts, ends, words = np.array([[0, 1, 2, 0], [3, 6, 6, 3], [1, 2, 2, 4]], np.int32)
    lattice = Lattice.of([6, 3], Matches(np.array([0, 3, 4]), starts, ends, words))
    outs, grads = [], []
    for device in DEVICES:
        model = LatticeLSTM(5, 3, 4, merge=merge).double()
        with torch.no_grad():
            for seed, one in enumerate(model.parameters()):
                one.copy_(drawn(*one.shape, seed=seed))
        model = model.to(device)
        x, table = drawn(9, 5).to(device).requires_grad_(), drawn(6, 3).to(device).requires_grad_()
        out = model(x, lattice.to(device), table)
        found = torch.autograd.grad(out.square().sum(), [x, table, *model.parameters()])
        outs.append(out.detach().cpu())
        grads.append([one.cpu() for one in found])
        shares = model.shares(x, lattice.to(device), table)
        outs.append(torch.cat([shares.own.flatten(), shares.words.flatten()]).cpu())
    torch.testing.assert_close(outs[2:], outs[:2])
    torch.testing.assert_close(grads[1], grads[0])


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("constrained", [False, True])
def test_the_crf_loses_decodes_and_believes_as_on_the_cpu(constrained: bool) -> None:
    names = ("O", "B-X", "M-X", "E-X", "S-X")
    offsets = np.array([0, 1, 6, 9])
    tags = torch.tensor([4, 0, 1, 2, 3, 0, 1, 3, 4])
    losses, grads, bests, beliefs = [], [], [], []
    for device in DEVICES:
        crf = LinearChainCRF(names, constrained).double()
        with torch.no_grad():
            for seed, one in enumerate(crf.parameters()):
                one.copy_(drawn(*one.shape, seed=seed))
        crf = crf.to(device)
        emissions = drawn(9, 5, seed=9).to(device).requires_grad_()
        loss = crf.nll(emissions, tags.to(device), offsets)
        grads.append([one.cpu() for one in torch.autograd.grad(loss, [emissions, *crf.parameters()])])
        losses.append(loss.item())
        best, belief = crf.believe(emissions.detach(), offsets)
        assert torch.equal(best, crf.decode(emissions.detach(), offsets))
        bests.append(best.cpu())
        beliefs.append((belief.of_tags.cpu(), belief.of_tags_at(1, 1, [1, 2, 3])))
    assert losses[1] == pytest.approx(losses[0])
    torch.testing.assert_close(grads[1], grads[0])
    assert torch.equal(bests[1], bests[0])
    torch.testing.assert_close(beliefs[1][0], beliefs[0][0])
    assert beliefs[1][1] == pytest.approx(beliefs[0][1])


def fitted(kind: str, device: str, **told: object) -> tuple[Tagger, list[float]]:
    """A tagger and its losses, without dropout: masks are drawn otherwise on a GPU."""
    own = {**vars(KINDS[kind]), "char_size": 12, "word_size": 8, "hidden_size": 16}
    own |= {"dropout": 0.0, "own_dropout": 0.0, "unknown_share": 0.0}
    options = TaggerOptions(**own)
    tagger = Tagger(options, Lexicon(NAMES[::2]) if options.looks_words_up else None, seed=1, device=device)
    training = TrainingOptions(epochs=4, learning_rate=0.02, batch_size=8)
    history = tagger.fit(CORPUS.train, CORPUS.valid, training, **told).history  # type: ignore[arg-type]
    return tagger, [row["train/loss"] for row in history]


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_tagger_learns_and_predicts_as_on_the_cpu(kind: str) -> None:
    (here, losses), (there, other) = (fitted(kind, device) for device in DEVICES)
    np.testing.assert_allclose(other, losses, rtol=2e-3)
    texts = [one.text for one in CORPUS.test] + ["", "南京市长江大桥" * 300]
    said = [{e[:4]: e.score for e in tagger.predict(texts[0:1])[0]} for tagger in (here, there)]
    assert len(there.predict(texts)) == len(texts)
    for one in said[0].keys() & said[1].keys():
        assert said[0][one] == pytest.approx(said[1][one], abs=0.02)
    same = [
        a == b for a, b in zip(here.predict_tags(CORPUS.test), there.predict_tags(CORPUS.test), strict=True)
    ]
    assert np.mean(same) > 0.9


@pytest.mark.usefixtures("cuda")
def test_a_tagger_moves_between_devices_and_takes_a_dictionary_on_each(tmp_path: Path) -> None:
    tagger, _ = fitted("lattice", "cuda")
    tagger.with_words(["甲乙丙丁"], "PER").save(tmp_path / "tagger.ckpt")
    text = "据甲乙丙丁报道"
    found = [Tagger.load(tmp_path / "tagger.ckpt", device=device) for device in DEVICES]
    assert all((1, 5, "甲乙丙丁") in one.explain(text).words for one in found)
    torch.testing.assert_close(
        found[1].explain(text).shares, found[0].explain(text).shares, atol=1e-4, rtol=0
    )
    shares = [one.predict_tags(CORPUS.test) for one in found]
    assert np.mean([a == b for a, b in zip(*shares, strict=True)]) > 0.95


@pytest.mark.usefixtures("cuda")
def test_a_killed_run_goes_on_on_the_gpu(tmp_path: Path) -> None:
    class Killed(Exception):
        """What stops the run."""

    def killer(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise Killed

    whole, losses = fitted("lattice", "cuda", directory=tmp_path / "whole")
    with pytest.raises(Killed):
        fitted("lattice", "cuda", directory=tmp_path / "cut", on_epoch=killer)
    resumed, again = fitted("lattice", "cuda", directory=tmp_path / "cut")
    np.testing.assert_allclose(again, losses, rtol=1e-3)  # sums on a GPU have no order
    for one, other in zip(whole.built.model.parameters(), resumed.built.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=5e-3, rtol=0)


@pytest.mark.usefixtures("cuda")
def test_compiled_loops_are_refused_on_a_gpu() -> None:
    model = LatticeLSTM(2, 2, 2, backend="compiled").cuda()
    lattice = Lattice.of([2], Matches.none(1)).to("cuda")
    with pytest.raises(InputError, match="backend=plain"):
        model(torch.zeros(2, 2, device="cuda"), lattice, torch.zeros(1, 2, device="cuda"))
