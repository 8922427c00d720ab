"""The batched lattice LSTM: the paper's cell, whatever the batch, the backend and the words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from offprints.errors import InputError

from lattice_lstm.cell import MERGES, CellWeights, character_cell, read_sentence, word_cell
from lattice_lstm.lattice import Lattice
from lattice_lstm.layer import LatticeLSTM
from lattice_lstm.lexicon import Matches

D, W, H, V = 5, 3, 4, 6
Words = list[tuple[int, int, int]]
BACKENDS = ("compiled", "plain")


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[int], list[Words]]:
    """Lengths of sentences, and start, end and vector of words in each: nested, overlapping, repeated ones too."""
    lengths = draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    words = []
    for length in lengths:
        spans = [(b, e) for b in range(length) for e in range(b + 2, length + 1)]
        chosen = (
            draw(st.lists(st.tuples(st.sampled_from(spans), st.integers(0, V - 1)), max_size=6))
            if spans
            else []
        )
        words.append([(b, e, w) for (b, e), w in chosen])
    return lengths, words


def matches_of(words: list[Words]) -> Matches:
    flat = np.array([word for one in words for word in one], np.int32).reshape(-1, 3)
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in words])]).astype(np.int64)
    return Matches(offsets, *(np.ascontiguousarray(column) for column in flat.T))


def layer(backend: str = "auto", merge: str = "gated", seed: int = 0, **options: bool) -> LatticeLSTM:
    """With random weights: the published start leaves too much zero or alike."""
    made = LatticeLSTM(D, W, H, merge=merge, backend=backend, **options).double()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in made.parameters():
            one.copy_(torch.randn(one.shape, generator=draw, dtype=torch.float64) * 0.7)
    return made


def vectors(*shape: int, seed: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_()


def slow(model: LatticeLSTM, x: Tensor, lengths: list[int], words: list[Words], table: Tensor) -> Tensor:
    """Each sentence by itself, by the cell as the paper writes it."""
    out = []
    for one, inside in zip(x.split(lengths), words, strict=True):
        states = [
            read_sentence(
                one,
                inside,
                table[d] if table.dim() == 3 else table,
                model.weights_of(d),
                backwards=d == 1,
                merge=model.merge,
            )[0]
            for d in range(model.num_directions)
        ]
        out.append(torch.cat(states, 1))
    return torch.cat(out)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("merge", MERGES)
@given(batches(), st.integers(0, 1000))
def test_states_and_every_gradient_are_those_of_the_cell_sentence_by_sentence(
    backend: str, merge: str, batch: tuple[list[int], list[Words]], seed: int
) -> None:
    lengths, words = batch
    lattice = Lattice.of(lengths, matches_of(words))
    model = layer(backend, merge, seed)
    x, table = vectors(sum(lengths), D, seed=seed), vectors(V, W, seed=seed + 1)
    inputs = [x, table, *model.parameters()]
    toward = vectors(sum(lengths), 2 * H, seed=seed + 2).detach()
    wanted = slow(model, x, lengths, words, table)
    wanted_grads = torch.autograd.grad(
        (wanted * toward).sum(), inputs, allow_unused=True, materialize_grads=True
    )
    out = model(x, lattice, table)
    grads = torch.autograd.grad((out * toward).sum(), inputs)
    torch.testing.assert_close(out, wanted, atol=1e-10, rtol=0)
    for got, right in zip(grads, wanted_grads, strict=True):
        torch.testing.assert_close(got, right, atol=1e-10, rtol=0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("merge", MERGES)
def test_the_gradient_is_that_of_finite_differences(backend: str, merge: str) -> None:
    lengths, words = (
        [3, 1, 5],
        [[(0, 2, 1), (0, 3, 2), (1, 3, 1)], [], [(0, 5, 0), (3, 5, 0), (2, 5, 3), (0, 2, 4)]],
    )
    lattice = Lattice.of(lengths, matches_of(words))
    model = layer(backend, merge)
    names = [name for name, _ in model.named_parameters()]

    def run(x: Tensor, table: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (x, lattice, table))

    assert torch.autograd.gradcheck(run, (vectors(9, D), vectors(V, W), *model.parameters()))


@pytest.mark.parametrize("backend", BACKENDS)
def test_directions_may_have_word_vectors_of_their_own_or_be_one(backend: str) -> None:
    lengths, words = [4, 2], [[(0, 3, 1), (1, 4, 2)], [(0, 2, 5)]]
    lattice = Lattice.of(lengths, matches_of(words))
    x, table = vectors(6, D), vectors(2, V, W)
    model = layer(backend)
    torch.testing.assert_close(model(x, lattice, table), slow(model, x, lengths, words, table))
    alone = layer(backend, bidirectional=False)
    assert alone(x, lattice, table[0]).shape == (6, H)
    torch.testing.assert_close(alone(x, lattice, table[0]), slow(alone, x, lengths, words, table[0]))
    alone(x, lattice, table[0]).sum().backward()
    assert alone.link.grad is not None and bool(alone.link.grad.any())


@pytest.mark.parity
@pytest.mark.parametrize("backend", BACKENDS)
def test_recorded_sentences_in_one_batch_with_all_their_gradients(parity, backend: str) -> None:
    r = {name: torch.from_numpy(value) for name, value in parity("lattice").items()}
    numbers = range(sum(name.endswith("_words") for name in r))
    lengths = [len(r[f"s{s}_x"]) for s in numbers]
    words = [[(b, e + 1, w) for b, e, w in r[f"s{s}_words"].tolist()] for s in numbers]
    size = r["s0_h_fw"].shape[1]
    table = torch.stack([r[f"{d}_word_emb_weight"] for d in ("fw", "bw")]).requires_grad_()
    model = LatticeLSTM(r["s0_x"].shape[1], table.shape[2], size, backend=backend).double()
    with torch.no_grad():
        for d, way in enumerate(("fw", "bw")):
            own, word = f"{way}_rnn_", f"{way}_word_rnn_"
            mine = slice(d * 4 * size, (d + 1) * 4 * size)
            model.x[:, mine] = torch.cat([r[f"{own}weight_ih"], r[f"{own}alpha_weight_ih"]], 1)
            model.bias[mine] = torch.cat([r[f"{own}bias"], r[f"{own}alpha_bias"]])
            for name, key in (
                ("h", f"{own}weight_hh"),
                ("word_x", f"{word}weight_ih"),
                ("word_h", f"{word}weight_hh"),
            ):
                getattr(model, name)[d] = r[key]
            model.word_bias[d], model.link[d] = r[f"{word}bias"], r[f"{own}alpha_weight_hh"]
    x = torch.cat([r[f"s{s}_x"] for s in numbers]).requires_grad_()
    out = model(x, Lattice.of(lengths, matches_of(words)), table)
    wanted = torch.cat([torch.cat([r[f"s{s}_h_fw"], r[f"s{s}_h_bw"]], 1) for s in numbers])
    torch.testing.assert_close(out, wanted, atol=1e-10, rtol=0)
    # Gradients were recorded for each sentence alone; here they are summed by one backward pass over all.
    out.backward(torch.cat([r[f"s{s}_grad_out"] for s in numbers]))
    torch.testing.assert_close(x.grad, torch.cat([r[f"s{s}_grad_x"] for s in numbers]), atol=1e-10, rtol=0)

    def recorded(name: str) -> Tensor:
        return torch.stack([sum(r[f"s{s}_grad_{way}_{name}"] for s in numbers) for way in ("fw", "bw")])

    grads = {
        "word_emb_weight": table.grad,
        "rnn_weight_ih": torch.stack([model.x.grad[:, : 3 * size], model.x.grad[:, 4 * size : 7 * size]]),
        "rnn_alpha_weight_ih": torch.stack(
            [model.x.grad[:, 3 * size : 4 * size], model.x.grad[:, 7 * size :]]
        ),
        "rnn_bias": model.bias.grad.view(2, 4 * size)[:, : 3 * size],
        "rnn_alpha_bias": model.bias.grad.view(2, 4 * size)[:, 3 * size :],
        "rnn_weight_hh": model.h.grad,
        "rnn_alpha_weight_hh": model.link.grad,
        "word_rnn_weight_ih": model.word_x.grad,
        "word_rnn_weight_hh": model.word_h.grad,
        "word_rnn_bias": model.word_bias.grad,
    }
    for name, got in grads.items():
        torch.testing.assert_close(
            got, recorded(name), atol=1e-10, rtol=0, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parity
def test_recorded_cells(parity) -> None:
    r = {name: torch.from_numpy(value) for name, value in parity("cells").items()}
    for k in range(8):
        one = {name.removeprefix(f"c{k}_"): value for name, value in r.items() if name.startswith(f"c{k}_")}
        weights = CellWeights(
            torch.cat([one["m_weight_ih"], one["m_alpha_weight_ih"]], 1),
            torch.cat([one["m_bias"], one["m_alpha_bias"]]),
            one["m_weight_hh"],
            one["w_weight_ih"],
            one["w_bias"],
            one["w_weight_hh"],
            one["m_alpha_weight_hh"],
        )
        h, c = one["h0"][0], one["c0"][0]
        made = torch.stack([word_cell(vector, h, c, weights) for vector in one["word_emb"]])
        torch.testing.assert_close(made, one["word_c"], atol=1e-10, rtol=0)
        arrivals = list(one["arrivals"].reshape(-1, len(h)))
        assert len(arrivals) == k % 4
        got = character_cell(one["x"][0], h, c, arrivals, weights)
        torch.testing.assert_close(got[0], one["h1"][0], atol=1e-10, rtol=0)
        torch.testing.assert_close(got[1], one["c1"][0], atol=1e-10, rtol=0)


@pytest.mark.parametrize("backend", BACKENDS)
@given(batches(), st.integers(0, 1000))
def test_neither_order_nor_company_changes_a_sentence(
    backend: str, batch: tuple[list[int], list[Words]], seed: int
) -> None:
    lengths, words = batch
    model, table = layer(backend), vectors(V, W)
    x = vectors(sum(lengths), D).split(lengths)
    together = model(torch.cat(x), Lattice.of(lengths, matches_of(words)), table).split(lengths)
    order = np.random.default_rng(seed).permutation(len(lengths))
    # In another order, its words in another order, and with a long sentence beside it.
    other = [lengths[s] for s in order] + [9]
    inside = [words[s][::-1] for s in order] + [[(0, 9, 1), (2, 4, 2)]]
    rows = torch.cat([x[s] for s in order] + [vectors(9, D, seed=7)])
    apart = model(rows, Lattice.of(other, matches_of(inside)), table).split(other)
    for place, s in enumerate(order):
        torch.testing.assert_close(apart[place], together[s], atol=1e-12, rtol=0)


@given(batches())
def test_reading_a_mirrored_sentence_with_exchanged_weights_mirrors_the_states(
    batch: tuple[list[int], list[Words]],
) -> None:
    lengths, words = batch
    model, table = layer(), vectors(V, W)
    swapped = layer()
    with torch.no_grad():
        for name, value in swapped.named_parameters():
            own = getattr(model, name)
            parts = own.chunk(2, -1)[::-1] if name in ("x", "bias") else own.chunk(2)[::-1]
            value.copy_(torch.cat(parts, -1 if name in ("x", "bias") else 0))
    x = vectors(sum(lengths), D).split(lengths)
    mirrored = [[(n - e, n - b, w) for b, e, w in one] for n, one in zip(lengths, words, strict=True)]
    one = model(torch.cat(x), Lattice.of(lengths, matches_of(words)), table).split(lengths)
    two = swapped(
        torch.cat([part.flip(0) for part in x]), Lattice.of(lengths, matches_of(mirrored)), table
    ).split(lengths)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(torch.cat(b.flip(0).chunk(2, 1)[::-1], 1), a, atol=1e-12, rtol=0)


def test_without_words_it_is_an_lstm_whose_forget_gate_is_one_less_its_input_gate() -> None:
    model = layer(bidirectional=False)
    x = vectors(6, D)
    out = model(x, Lattice.of([6], Matches.none(1)), vectors(V, W))
    h = c = torch.zeros(H, dtype=torch.float64)
    states = []
    for one in x:
        i, o, g = (one @ model.x[:, : 3 * H] + model.bias[: 3 * H] + h @ model.h[0]).chunk(3)
        c = (1 - i.sigmoid()) * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    torch.testing.assert_close(out, torch.stack(states))


@pytest.mark.parametrize("backend", BACKENDS)
@given(batches(), st.integers(0, 100))
def test_shares_are_those_of_the_cell_and_sum_to_one_where_words_arrive(
    backend: str, batch: tuple[list[int], list[Words]], seed: int
) -> None:
    lengths, words = batch
    model, table, x = layer(backend, seed=seed), vectors(V, W), vectors(sum(lengths), D)
    found = model.shares(x, Lattice.of(lengths, matches_of(words)), table)
    total, first = found.own.clone(), 0
    arrivals = torch.zeros(sum(lengths), 2)
    begin = 0
    for n, inside, one in zip(lengths, words, x.split(lengths), strict=True):
        for d in range(2):
            shares = read_sentence(one, inside, table, model.weights_of(d), backwards=d == 1)[2]
            ends = [b if d else e - 1 for b, e, _ in inside]
            for at in range(n):
                torch.testing.assert_close(found.own[begin + at, d], shares[at][0])
                here = [m for m, end in enumerate(ends) if end == at]
                for place, m in enumerate(here, 1):
                    torch.testing.assert_close(found.words[first + m, d], shares[at][place])
                    total[begin + at, d] += found.words[first + m, d]
                arrivals[begin + at, d] = len(here)
        first, begin = first + len(inside), begin + n
    k = arrivals[arrivals > 0][:, None]
    torch.testing.assert_close(total[arrivals > 0], torch.ones(len(k), H, dtype=torch.float64))
    # Gates are squashed before the softmax, so that nothing can be ignored altogether.
    own = found.own[arrivals > 0]
    assert bool((own >= 1 / (1 + k * np.e) - 1e-12).all()) and bool((own <= np.e / (np.e + k) + 1e-12).all())


def test_the_backends_agree_in_single_precision() -> None:
    lengths, words = [40, 33, 7], [[(b, b + 2 + b % 3, b % V) for b in range(n - 4)] for n in (40, 33, 7)]
    lattice = Lattice.of(lengths, matches_of(words))
    x, table = vectors(80, D).float().detach(), vectors(V, W).float().detach()
    outs, grads = [], []
    for backend in BACKENDS:
        model = layer(backend).float()
        out = model(x, lattice, table)
        out.square().sum().backward()
        outs.append(out.detach())
        grads.append(torch.cat([one.grad.flatten() for one in model.parameters()]))
    torch.testing.assert_close(outs[0], outs[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(grads[0], grads[1], atol=1e-4, rtol=1e-4)


def test_two_threads_give_the_bits_of_one() -> None:
    lattice = Lattice.of([9, 4], matches_of([[(0, 4, 1), (2, 9, 3)], [(1, 3, 2)]]))
    model, x, table = layer("compiled"), vectors(13, D), vectors(V, W)
    one = torch.autograd.grad(model(x, lattice, table).sum(), [x, table, *model.parameters()])
    torch.set_num_threads(2)
    try:
        two = torch.autograd.grad(model(x, lattice, table).sum(), [x, table, *model.parameters()])
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_number_that_is_none_stays_one(backend: str) -> None:
    x = vectors(3, D).detach()
    x[1] = torch.nan
    out = layer(backend)(x, Lattice.of([3], matches_of([[(0, 3, 1)]])), vectors(V, W))
    assert bool(out[2, :H].isnan().all()) and bool(out[0, H:].isnan().all())


def test_a_new_layer_has_the_published_start() -> None:
    model = LatticeLSTM(50, 50, 10)
    assert torch.equal(model.h[1], torch.eye(10).repeat(1, 3)) and torch.equal(model.link[0], torch.eye(10))
    assert not bool(model.bias.any()) and not bool(model.word_bias.any())
    block = model.x[:, 40:70]
    torch.testing.assert_close(block.t() @ block, torch.eye(30))
    assert all(bool(torch.isfinite(one).all()) for one in model.parameters())


def test_unknown_options_are_refused() -> None:
    with pytest.raises(InputError, match="gated, equal, sum, keep"):
        LatticeLSTM(2, 2, 2, merge="mean")
    with pytest.raises(InputError, match="auto, compiled, plain"):
        LatticeLSTM(2, 2, 2, backend="cuda")
