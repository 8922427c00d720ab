"""The transformers compute their formulas exactly, by every kernel and in both ways of the paper."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hard_attention.alphabet import Alphabet, all_strings
from hard_attention.blocks import AttentionBlock, FeedForwardBlock, attention_matrices, feed_forward_matrices
from hard_attention.formulas import formula, letter, nodes
from hard_attention.maps import attention_maps
from hard_attention.parsing import parse
from hard_attention.randomised import random_formula
from hard_attention.recurrence import evaluate
from hard_attention.transformer import FormulaTransformer, compile_formula

AB = Alphabet("ab")
PARITY = "(or (eq (call (Q a)) 0) (O (and (eq (pos) (call (Q a))) (mod 0 2))))"
KERNELS = ("dense", "sdpa", "chunked", "scan", "average")


def numbers(model: FormulaTransformer, ids: np.ndarray, kernel: str = "dense") -> np.ndarray:
    with torch.no_grad():
        return model.values(torch.from_numpy(ids), kernel=kernel).float().numpy()


@settings(max_examples=20)
@given(st.integers(0, 10**9), st.booleans(), st.booleans(), st.integers(1, 7))
def test_outputs_are_exactly_the_truth_on_all_strings(seed, counting, bounded, n):
    f = random_formula(np.random.default_rng(seed), 4, "ab", counting=counting)
    ids = all_strings(2, n)
    truth = evaluate(f, ids, AB)
    model = compile_formula(f, AB, mode="temperature" if bounded else "positions")
    for kernel in KERNELS:
        assert (numbers(model, ids, kernel) == truth).all(), kernel


@settings(max_examples=8)
@given(st.integers(0, 10**9), st.sampled_from(["float32", "float16", "bfloat16"]))
def test_short_strings_are_exact_in_every_format(seed, name):
    f = random_formula(np.random.default_rng(seed), 3, "ab", counting=True)
    ids = all_strings(2, 4)
    model = compile_formula(f, AB, dtype=getattr(torch, name))
    for kernel in ("dense", "sdpa", "chunked", "average"):
        assert (numbers(model, ids, kernel) == evaluate(f, ids, AB)).all(), kernel


@settings(max_examples=8)
@given(st.integers(0, 10**9), st.sampled_from([2.0, 4.0]))
def test_raw_outputs_are_within_the_bound_of_0_or_1(seed, step):
    f = random_formula(np.random.default_rng(seed), 3, "ab", counting=True)
    model = compile_formula(f, AB, step=step)
    ids = torch.from_numpy(all_strings(2, 7))
    with torch.no_grad():
        raw = model.raw(ids)
    for head in model.heads:
        found = raw[model.program.columns[head.column]]
        bound = {
            "nearest": math.exp(-step),
            "sign": 1 / 16,
            "compare": math.exp(-8) / -math.expm1(-32) + 1e-12,
        }
        if head.kind != "count":
            assert float((found - found.round()).abs().max()) <= bound[head.kind], head.kind


def test_truth_tables_as_recorded_by_every_kernel(parity):
    """The tables of `logic.npz`, through the transformers: softmax in four ways, and hard attention."""
    recorded = parity("logic.npz")
    compared = 0
    for group in sorted({name.split("_")[0] for name in recorded if name.endswith("_strings")}):
        alphabet = Alphabet("abc") if group.startswith("abc") else AB
        strings = recorded[f"{group}_strings"].astype(np.int64)[:64]
        tables = np.unpackbits(recorded[f"{group}_truth"], axis=-1)[..., : strings.shape[1]].astype(bool)
        for text, table in zip(recorded["formulas"], tables, strict=True):
            model = compile_formula(str(text), alphabet)
            for kernel in KERNELS:
                assert (numbers(model, strings, kernel) == table[:64]).all(), (text, kernel)
            compared += table[:64].size
    assert compared > 10_000


def test_the_worst_string_reaches_the_bound():
    model = compile_formula("(S (Q a) (Q b))", "abc")
    # the last b is met at once, behind it only places where the search may end, with the opposite value
    found = model.decide(["c" * 40 + "b"])[0]
    assert not any(found[:-1])
    raw = model.raw(torch.tensor([[2] * 40 + [1, 0]]))
    (column,) = raw.values()
    assert 1 - math.exp(-2) - 1e-12 <= float(column[0, -1]) < 1 - math.exp(-2) + 1e-3


def test_temperature_mode_has_the_same_scores_to_the_bit_and_a_bounded_embedding():
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (3, 200)))
    for text in ("(S (Q a) (Q b))", "(U (Q a) (Q b))", "(lt (cl (Q b)) (cl (Q a)))", PARITY):
        free, bounded = (compile_formula(text, AB, mode=mode) for mode in ("positions", "temperature"))
        for column, raw in free.raw(ids).items():
            assert torch.equal(raw, bounded.raw(ids)[column])
        length = torch.tensor([200])
        assert free.embed(ids, length)[0].max() > 200
        embedded, beta = bounded.embed(ids, length)
        assert embedded.max() < 2
        assert bool((beta > 200).all())


def test_one_set_of_weights_serves_every_length():
    model = compile_formula("(S (Q a) (and (Q b) (Y (Q a))))", AB)
    before = copy.deepcopy(model.state_dict())
    for n in (3, 3000):
        ids = np.random.default_rng(n).integers(0, 2, (2, n))
        assert (numbers(model, ids, "chunked") == evaluate(model.program.formula, ids, AB)).all()
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    assert not any(3000 in weight.shape or 3001 in weight.shape for weight in before.values())
    past, future = (compile_formula(f"({op} (Q a) (Q b))", AB) for op in "SU")
    row = torch.zeros((1, 50), dtype=torch.int64)
    for found, alike in ((past, True), (future, False)):
        tables = [found.positions.table(torch.tensor([n]), n, found.precision)[0][0, :3] for n in (5, 50)]
        assert torch.equal(*tables) == alike, (
            "the future needs the length in the embedding, the past does not"
        )
    assert past(row).shape == (1, 50)


def test_padding_changes_nothing():
    strings = ["a", "bba", "abab", "bbbbbbbbab", "aabbaabb"]
    for text in ("(U (Q a) (Q b))", PARITY, "(S (X (Q b)) (eq (cr (Q a)) 2))", "(last)"):
        for mode in ("positions", "temperature"):
            model = compile_formula(text, AB, mode=mode)
            for kernel in KERNELS:
                alone = [model.decide([string], kernel)[0] for string in strings]
                assert model.decide(strings, kernel) == alone, (text, kernel)


def test_kernels_agree_on_raw_outputs():
    ids = torch.from_numpy(np.random.default_rng(1).integers(0, 2, (5, 300)))
    for text in (
        "(S (Q a) (U (Q b) (Q a)))",
        "(le (cr (Q a)) (cl (Q b)))",
        "(lt (call (Q a)) (call (Q b)))",
        PARITY,
    ):
        model = compile_formula(text, AB)
        expected = model.raw(ids)
        for kernel in ("sdpa", "chunked", "scan"):
            found = model.raw(ids, kernel=kernel)
            assert list(found) == list(expected)
            for column, raw in found.items():
                assert torch.allclose(raw, expected[column], rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_scan_of_mixed_lengths_is_the_softmax_of_each_string(dtype):
    """Long runs, in which what decays would become denormal, and lengths that share a batch with others or stand alone."""
    strings = [
        "a" * 300 + "b" + "a" * 90,
        "b" + "a" * 400,
        "ab" * 150,
        "c",
        "cab",
        "bca",
        "a" * 391,
        "c" * 200 + "b" + "a" * 190,
    ]
    for text in ("(S (Q a) (Q b))", "(U (Q a) (Q b))", "(S (not (Q c)) (le (cl (Q a)) (cl (Q b))))"):
        for mode in ("positions", "temperature"):
            model = compile_formula(text, "abc", mode=mode, dtype=dtype)
            ids, lengths = (torch.from_numpy(part) for part in model.program.alphabet.batch(strings))
            from hard_attention.scan import scan

            found = scan(model, ids, lengths, raw=True)
            plain = model.double()
            for row, n in enumerate(lengths.tolist()):
                expected = list(plain.raw(ids[row : row + 1, :n]).values())
                for head, wanted in enumerate(expected):
                    got = found.raw[row, head, 1 : n + 1].double()
                    assert torch.allclose(
                        got, wanted[0], rtol=0, atol=2e-6 if dtype == torch.float32 else 1e-13
                    )
                assert not found.raw[row, :, n + 1 :].any() and not found.values[row, n:].any()


def test_a_scan_refuses_weights_that_are_no_longer_compiled():
    ids = torch.from_numpy(all_strings(2, 4))
    for block_row, column in ((1, 0), (2, 0)):  # the query's rung, the key's rung: read from a letter
        model = compile_formula("(S (Q a) (Q b))", AB)
        with torch.no_grad():
            model.layers[1].attention[0].project.weight[block_row, column] += 0.5
        with pytest.raises(ValueError, match="no longer those of a compiled formula"):
            model.values(ids, kernel="scan")
    model = compile_formula("(S (Q a) (Q b))", AB)
    with torch.no_grad():
        model.layers[1].attention[0].project.weight *= 0.9  # a key that is neither looked past nor not
    with pytest.raises(ValueError, match="no longer those of a compiled formula"):
        model.values(ids, kernel="scan")


def test_hard_attention_takes_the_only_maximum_of_a_nearest_head():
    f = parse("(S (or (Q a) (X (Q b))) (and (Q b) (Y (Q a))))")
    ids = all_strings(2, 7)
    model = compile_formula(f, AB)
    for kernel in ("average", "leftmost", "rightmost"):
        assert (numbers(model, ids, kernel) == evaluate(f, ids, AB)).all()
    with pytest.raises(ValueError, match="use average"):
        numbers(compile_formula(PARITY, AB), ids, "leftmost")


def test_maps_are_the_weights_of_a_head_by_softmax_and_by_hard_attention():
    model = compile_formula("a S b", AB)
    ((soft,), (hard,)) = (attention_maps(model, "abb", kernel) for kernel in ("dense", "average"))
    assert np.allclose(soft.sum(1), 1) and 1 - math.exp(-2) < soft[3, 2] < 1
    assert hard[3].tolist() == [0, 0, 1, 0], "the nearest b before position 3"
    with pytest.raises(ValueError, match="dense or average"):
        attention_maps(model, "abb", "sdpa")


def test_blocks_are_the_square_matrices_of_a_transformer():
    model = compile_formula("(S (Q a) (or (Q b) (Y (Q a))))", AB)
    width = len(model.program.columns)
    ids = torch.from_numpy(all_strings(2, 5))
    x, _ = model.embed(ids, torch.tensor([5]))
    for layer in model.layers:
        attended = x.clone()
        for block in layer.attention:
            assert isinstance(block, AttentionBlock)
            for head in range(len(block.masks)):
                query, key, value = attention_matrices(block, head, width)
                scores = (x @ query.T) @ (x @ key.T).transpose(1, 2)
                place = torch.arange(6)
                seen = (place < place[:, None]) | (place == 0)
                weights = torch.softmax(scores.masked_fill(~seen, -torch.inf), -1)
                attended = attended + weights @ (x @ value.T)
        x = attended
        for block in layer.feed_forward:
            assert isinstance(block, FeedForwardBlock)
            first, bias, second = feed_forward_matrices(block, width)
            x = x + torch.relu(attended @ first.T + bias) @ second.T
    assert torch.allclose(x, model.residual(ids), atol=1e-12)


def test_save_and_load(tmp_path):
    model = compile_formula(PARITY, AB, mode="temperature", dtype=torch.float32)
    with torch.no_grad():
        model.readout.weight += 1.0  # as training would
    model.save(tmp_path / "parity.pt")
    found = FormulaTransformer.load(tmp_path / "parity.pt")
    assert found.precision.name == "float32" and found.mode == "temperature"
    ids = torch.from_numpy(all_strings(2, 6))
    assert torch.equal(found.values(ids), model.values(ids))
    (tmp_path / "parity.pt").write_bytes(b"damaged")
    with pytest.raises(ValueError):
        FormulaTransformer.load(tmp_path / "parity.pt")


def test_gradients_flow():
    # With a small step raw outputs are between 1/4 and 3/4, where the rounding is not flat.
    model = compile_formula("(S (Q a) (Q b))", "abc", step=1.0)
    model.values(torch.from_numpy(all_strings(3, 4))).sum().backward()
    query = model.layers[1].attention[0].project.weight.grad[:2]
    assert bool(torch.isfinite(query).all()) and float(query.abs().max()) > 0


def test_torch_export_gives_the_same_numbers():
    model = compile_formula("(S (Q a) (U (Q b) (Q a)))", AB)
    ids = torch.from_numpy(all_strings(2, 5))
    exported = torch.export.export(model, (ids,))
    assert torch.equal(exported.module()(ids), model(ids))


def test_torch_compile_captures_the_whole_module():
    model = compile_formula("(S (Q a) (U (Q b) (Q a)))", AB)
    ids = torch.from_numpy(all_strings(2, 5))
    captured = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(captured(ids), model(ids))


def test_ten_thousand_nodes_neither_recurse_nor_square():
    f = letter("a")
    for k in range(2_500):
        f = formula("S", letter("ab"[k % 2]), f) | (letter("ba"[k % 2]) & f)
    model = compile_formula(f, AB)
    assert len(nodes(f)) > 7_500
    assert sum(weight.numel() for weight in model.parameters()) < 40 * len(nodes(f))
    ids = np.random.default_rng(0).integers(0, 2, (2, 12))
    assert (numbers(model, ids, "scan") == evaluate(f, ids, AB)).all()


def test_large_formulas_compile_and_stay_right():
    f = formula("and", *(formula("or", letter("a"), formula("Y", letter("b"))) for _ in range(3)))
    for k in range(200):
        f = formula("S", letter("ab"[k % 2]), f) | letter("ba"[k % 2]) & f
    model = compile_formula(f, AB)
    ids = np.random.default_rng(0).integers(0, 2, (3, 20))
    assert (numbers(model, ids, "scan") == evaluate(f, ids, AB)).all()
    wide = formula("or", *(formula("and", letter("a"), formula("mod", value=(k, 997))) for k in range(997)))
    ids = np.zeros((1, 30), np.int64)
    assert numbers(compile_formula(wide, AB), ids, "scan").all()


def test_predicates_of_the_user_are_columns():
    prime = {"prime": lambda i, n: i in (2, 3, 5, 7)}
    model = compile_formula("(S (not (pred prime)) (Q a))", AB, predicates=prime)
    ids = all_strings(2, 8)
    assert (numbers(model, ids) == evaluate(model.program.formula, ids, AB, prime)).all()
    with pytest.raises(ValueError, match="prime"):
        compile_formula("(pred prime)", AB)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mode": "cold"}, "mode"),
        ({"step": 0.0}, "positive"),
        ({"step": -1.0}, "positive"),
        ({"dtype": torch.int64}, "precision int64"),
        ({"alphabet": "b"}, "lacks"),
        ({"formula": "(S (Q a)"}, "not closed"),
    ],
)
def test_bad_options_are_refused(change, reason):
    options = {"formula": "(S (Q a) (Q b))", "alphabet": "ab", **change}
    with pytest.raises(ValueError, match=reason):
        compile_formula(options.pop("formula"), options.pop("alphabet"), **options)


def test_bad_strings_are_refused():
    model = compile_formula("(Q a)", AB)
    with pytest.raises(ValueError, match="one position"):
        model(torch.zeros((1, 0), dtype=torch.int64))
    with pytest.raises(ValueError, match="empty"):
        model.decide([""])
    with pytest.raises(ValueError, match="not in the alphabet"):
        model.decide(["abc"])
    with pytest.raises(ValueError, match="lengths"):
        model(torch.zeros((2, 3), dtype=torch.int64), torch.tensor([3, 4]))
    for number in (-1, 2):  # 2 would be the beginning-of-string sign
        for kernel in ("dense", "scan"):
            with pytest.raises(ValueError, match="between 0 and 1"):
                model(torch.full((1, 3), number), kernel=kernel)
    with pytest.raises(ValueError, match="kernel"):
        model(torch.zeros((2, 3), dtype=torch.int64), kernel="flash")
    with pytest.raises(ValueError, match="no residual stream"):
        model.residual(torch.zeros((2, 3), dtype=torch.int64), kernel="scan")
    with pytest.raises(ValueError, match="float32 and float64"):
        copy.deepcopy(model).bfloat16()(torch.zeros((2, 3), dtype=torch.int64), kernel="scan")
