"""The CRF against enumeration of all tags, recorded numbers, plain torch and another library."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchcrf import CRF

from offprints.errors import InputError

from lattice_lstm import crf
from lattice_lstm.crf import LinearChainCRF

NAMES = ("O", "B-X", "M-X", "E-X", "S-X")


def scores(size: int, lengths: list[int], seed: int, spread: float = 1.0) -> tuple[list[Tensor], np.ndarray]:
    """Random emissions, transition, start and end, and the offsets of the sentences."""
    draw = torch.Generator().manual_seed(seed)
    shapes = [(sum(lengths), size), (size, size), (size,), (size,)]
    made = [torch.randn(shape, generator=draw, dtype=torch.float64) * spread for shape in shapes]
    return made, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def every_path(parts: list[Tensor], first: int, length: int) -> dict[tuple[int, ...], float]:
    """Score of all tags of one sentence."""
    emissions, transition, start, end = (one.numpy() for one in parts)
    found = {}
    for path in itertools.product(range(len(start)), repeat=length):
        score = start[path[0]] + end[path[-1]] + sum(emissions[first + t, y] for t, y in enumerate(path))
        found[path] = score + sum(transition[a, b] for a, b in itertools.pairwise(path))
    return found


lengths_of = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@given(st.integers(1, 4), lengths_of, st.integers(0, 1000))
def test_partition_posterior_and_best_tags_are_those_of_enumeration(
    size: int, lengths: list[int], seed: int
) -> None:
    parts, offsets = scores(size, lengths, seed)
    best, top = crf.viterbi(*parts, offsets)
    found = crf.posterior(*parts, offsets)
    for s, length in enumerate(lengths):
        first = int(offsets[s])
        paths = every_path(parts, first, length)
        log_z = math.log(sum(map(math.exp, paths.values())))
        assert float(found.log_partition[s]) == pytest.approx(log_z, abs=1e-10)
        winner = max(paths, key=paths.__getitem__)
        assert tuple(best[first : first + length].tolist()) == winner
        assert float(top[s]) == pytest.approx(paths[winner], abs=1e-10)
        chance = np.zeros((length, size))
        for path, score in paths.items():
            chance[range(length), path] += math.exp(score - log_z)
        np.testing.assert_allclose(found.of_tags[first : first + length].numpy(), chance, atol=1e-10)
        assert found.of_tags_at(s, 0, winner) == pytest.approx(math.exp(paths[winner] - log_z), abs=1e-10)


@given(st.integers(1, 6), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 1000), st.sampled_from((1.0, 60.0, 1e4)))  # fmt: skip
def test_the_loops_give_loss_and_gradients_of_plain_torch(
    size: int, lengths: list[int], seed: int, spread: float
) -> None:
    """Beyond a spread of 250 the loops go over to logarithms; both ways are held to the same numbers."""
    parts, offsets = scores(size, lengths, seed, spread)
    tags = torch.from_numpy(np.random.default_rng(seed).integers(0, size, sum(lengths)))
    ours, plain = ([one.clone().requires_grad_() for one in parts] for _ in range(2))
    loss = crf.negative_log_likelihood(*ours, tags, offsets)
    wanted = crf.log_partition(*plain, offsets).sum() - crf.path_score(*plain, tags, offsets)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-10, abs=1e-9)
    assert loss.item() > -1e-9
    loss.backward()
    wanted.backward()
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=1e-9)
    from lattice_lstm.crf_kernels import log_sums

    for one, other in zip(log_sums(*parts, offsets), crf.log_sums(*parts, offsets), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-9)
    best, top = crf.viterbi(*parts, offsets)
    same, score = crf.plain_viterbi(*parts, offsets)
    torch.testing.assert_close(top, score)
    assert torch.equal(best, same)


def test_the_gradient_is_that_of_finite_differences() -> None:
    parts, offsets = scores(3, [3, 1, 4], 0)
    tags = torch.tensor([0, 1, 2, 2, 1, 1, 0, 2])
    inputs = [one.requires_grad_() for one in parts]
    assert torch.autograd.gradcheck(lambda *p: crf.negative_log_likelihood(*p, tags, offsets), inputs)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(0, 1000))
def test_another_library_says_the_same(lengths: list[int], seed: int) -> None:
    lengths = sorted(lengths, reverse=True)
    (emissions, transition, start, end), offsets = scores(4, lengths, seed)
    tags = torch.from_numpy(np.random.default_rng(seed).integers(0, 4, sum(lengths)))
    other = CRF(4, batch_first=True).double()
    with torch.no_grad():
        other.transitions.copy_(transition)
        other.start_transitions.copy_(start)
        other.end_transitions.copy_(end)
    pad = torch.nn.utils.rnn.pad_sequence
    padded = pad(list(emissions.split(lengths)), batch_first=True)
    mask = pad([torch.ones(n, dtype=torch.bool) for n in lengths], batch_first=True)
    wanted = -other(padded, pad(list(tags.split(lengths)), batch_first=True), mask, reduction="sum")
    loss = crf.negative_log_likelihood(emissions, transition, start, end, tags, offsets)
    assert float(loss) == pytest.approx(float(wanted.detach()), abs=1e-9)
    best, _ = crf.viterbi(emissions, transition, start, end, offsets)
    assert best.tolist() == [tag for row in other.decode(padded, mask) for tag in row]


@pytest.mark.parity
def test_the_recorded_loss_gradients_and_tags(parity) -> None:
    recorded = parity("crf")
    for batch in ("b0", "b1"):
        lengths = recorded[f"{batch}_lengths"]
        keep = np.arange(recorded[f"{batch}_emissions"].shape[1]) < lengths[:, None]
        flat = {
            name: torch.from_numpy(recorded[f"{batch}_{name}"][keep])
            for name in ("emissions", "grad_emissions", "tags", "viterbi")
        }
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        emissions = flat["emissions"].clone().requires_grad_()
        transition = torch.from_numpy(recorded["transitions"]).clone().requires_grad_()
        # All states of the recorded program, its rows of START and columns of STOP as start and end.
        parts = (emissions, transition, transition[-2], transition[:, -1])
        loss = crf.negative_log_likelihood(*parts, flat["tags"], offsets)
        loss.backward()
        assert loss.item() == pytest.approx(float(recorded[f"{batch}_nll_sum"]), abs=1e-10)
        log_z = crf.log_partition(*parts, offsets).detach().numpy()
        np.testing.assert_allclose(log_z, recorded[f"{batch}_logZ"], atol=1e-10, rtol=0)
        torch.testing.assert_close(emissions.grad, flat["grad_emissions"], atol=1e-10, rtol=0)
        wanted = torch.from_numpy(recorded[f"{batch}_grad_transitions"])
        torch.testing.assert_close(transition.grad, wanted, atol=1e-10, rtol=0)
        best, _ = crf.viterbi(*(one.detach() for one in parts), offsets)
        assert torch.equal(best, flat["viterbi"])


@given(st.lists(st.integers(1, 8), min_size=1, max_size=4), st.integers(0, 1000))
def test_constrained_tags_are_well_formed_and_the_best_of_those(lengths: list[int], seed: int) -> None:
    (emissions, transition, _, _), offsets = scores(len(NAMES), lengths, seed, 3.0)
    model = LinearChainCRF(NAMES).double()
    model.transition.data.copy_(transition)
    tags = model.decode(emissions, offsets)
    masked = [emissions, *(one.detach() for one in model.scores(constrained=True))]
    for s, length in enumerate(lengths):
        if length <= 4:
            paths = every_path(masked, int(offsets[s]), length)
            assert tuple(tags[offsets[s] : offsets[s + 1]].tolist()) == max(paths, key=paths.__getitem__)
    for s in range(len(lengths)):
        names = [NAMES[tag] for tag in tags[offsets[s] : offsets[s + 1]]]
        assert all(bool(model.allowed[NAMES.index(a), NAMES.index(b)]) for a, b in itertools.pairwise(names))
    # Well-formed sequences have all of the probability.
    total = model.believe(emissions, offsets)[1].of_tags.sum(1)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_a_constrained_loss_gives_ill_formed_tags_no_probability_and_finite_gradients() -> None:
    (emissions, _, _, _), offsets = scores(len(NAMES), [3, 1], 0)
    model = LinearChainCRF(NAMES, constrained=True).double()
    loss = model.nll(emissions, torch.tensor([1, 2, 3, 0]), offsets)
    loss.backward()
    assert loss.item() > 0 and all(bool(torch.isfinite(p.grad).all()) for p in model.parameters())
    free = LinearChainCRF(NAMES).double().nll(emissions, torch.tensor([1, 2, 3, 0]), offsets)
    assert loss.item() < free.item()
    with pytest.raises(InputError, match="ill-formed"):
        model.nll(emissions, torch.tensor([1, 0, 0, 0]), offsets)


def test_sentences_without_any_allowed_tags_are_refused_by_number() -> None:
    model = LinearChainCRF(("B-X", "E-X"))
    model.decode(torch.zeros(2, 2), np.array([0, 2]))
    with pytest.raises(InputError, match="sentence 1"):
        model.decode(torch.zeros(3, 2), np.array([0, 2, 3]))
    with pytest.raises(InputError, match="sentence 0"):
        LinearChainCRF(NAMES).decode(torch.full((2, 5), math.nan), np.array([0, 2]))


def test_of_equal_tags_the_first_is_taken() -> None:
    best, _ = crf.viterbi(
        torch.zeros(3, 4), torch.zeros(4, 4), torch.zeros(4), torch.zeros(4), np.array([0, 3])
    )
    assert best.tolist() == [0, 0, 0]


def test_extreme_emissions_neither_vanish_nor_overflow() -> None:
    emissions = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [1e4, 1e4]], dtype=torch.float64, requires_grad=True)
    transition = torch.tensor([[0.0, -math.inf], [0.0, 0.0]], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    loss = crf.negative_log_likelihood(
        emissions, transition, zero, zero, torch.tensor([0, 0, 0]), np.array([0, 3])
    )
    loss.backward()
    # 0 0 0 and 1 1 x score alike: 1e4; the loss is the log of three.
    assert loss.item() == pytest.approx(math.log(3), abs=1e-9)
    assert emissions.grad is not None and bool(torch.isfinite(emissions.grad).all())


def test_without_learnt_scores_each_tag_is_a_softmax_of_its_own() -> None:
    crf = LinearChainCRF(["O", "B-X", "E-X"], learnt=False)
    emissions = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    tags, offsets = torch.tensor([0, 1, 2, 0, 0, 2, 1]), np.array([0, 4, 7])
    loss = crf.nll(emissions, tags, offsets)
    wanted = torch.nn.functional.cross_entropy(emissions, tags, reduction="sum")
    torch.testing.assert_close(loss, wanted)
    (grad,) = torch.autograd.grad(loss, emissions)
    torch.testing.assert_close(grad, torch.autograd.grad(wanted, emissions)[0])
    assert crf.decode(emissions, offsets, constrained=False).tolist() == emissions.argmax(1).tolist()
    assert not any(one.requires_grad for one in crf.parameters())


def test_what_begins_hopeless_may_win_in_the_end() -> None:
    """A path whose start is too small for an exponential, and whose transitions make up for it: no sum may have dropped it."""
    emissions = torch.zeros(4, 2, dtype=torch.float64, requires_grad=True)
    start = torch.tensor([0.0, -800.0], dtype=torch.float64)
    transition = torch.tensor([[0.0, -1000.0], [-1000.0, 500.0]], dtype=torch.float64, requires_grad=True)
    end, offsets = torch.zeros(2, dtype=torch.float64), np.array([0, 4])
    loss = crf.negative_log_likelihood(emissions, transition, start, end, torch.tensor([0, 0, 0, 0]), offsets)
    assert loss.item() == pytest.approx(700)  # 1 1 1 1 scores 700 and 0 0 0 0 nothing
    grads = torch.autograd.grad(loss, [emissions, transition])
    torch.testing.assert_close(grads[0], torch.tensor([[-1.0, 1.0]] * 4, dtype=torch.float64))
    torch.testing.assert_close(grads[1], torch.tensor([[-3.0, 0.0], [0.0, 3.0]], dtype=torch.float64))
    plain = crf.log_partition(emissions, transition, start, end, offsets)
    assert plain.item() == pytest.approx(700)


def test_what_is_believed_is_believed_of_well_formed_tags() -> None:
    """Emissions that want an E where nothing is open."""
    crf_of_names, offsets = LinearChainCRF(("O", "B-X", "E-X")), np.array([0, 2])
    emissions = torch.tensor([[0.0, -1.0, 5.0], [0.0, -1.0, 5.0]])
    best, belief = crf_of_names.believe(emissions, offsets)
    assert best.tolist() == crf_of_names.decode(emissions, offsets).tolist() == [1, 2]
    assert belief.of_tags[0, 2].item() == 0 and belief.of_tags[1, 1].item() == 0
    assert crf_of_names.believe(emissions, offsets, constrained=False)[0].tolist() == [2, 2]
