"""Layer norm: the same truth values to the bit, and a norm that is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hard_attention.alphabet import Alphabet, all_strings
from hard_attention.blocks import attention_matrices
from hard_attention.certificate import certify
from hard_attention.norms import PairNorm, booleans
from hard_attention.precision import PRECISIONS
from hard_attention.randomised import random_formula
from hard_attention.recurrence import evaluate
from hard_attention.transformer import FormulaTransformer, compile_formula

AB = Alphabet("ab")


@settings(max_examples=15)
@given(st.integers(0, 10**9), st.booleans(), st.sampled_from(list(PRECISIONS)))
def test_every_head_and_readout_is_the_same_to_the_bit(seed, bounded, name):
    f = random_formula(np.random.default_rng(seed), 3, "ab", counting=True, lookups=True)
    options = {"mode": "temperature" if bounded else "positions", "dtype": PRECISIONS[name].dtype}
    plain, normed = (compile_formula(f, AB, norm=norm, **options) for norm in ("none", "pre"))
    ids = torch.from_numpy(all_strings(2, 5))
    with torch.no_grad():
        for kernel in ("dense", "average"):
            values = [model.values(ids, kernel=kernel).nan_to_num(7) for model in (plain, normed)]
            assert torch.equal(*values)
            expected = plain.raw(ids, kernel=kernel)
            for column, raw in normed.raw(ids, kernel=kernel).items():
                assert torch.equal(raw.nan_to_num(7), expected[column].nan_to_num(7))


@settings(max_examples=10)
@given(st.integers(0, 10**9))
def test_normed_transformers_are_exact(seed):
    f = random_formula(np.random.default_rng(seed), 4, "ab")
    ids = all_strings(2, 6)
    model = compile_formula(f, AB, norm="pre")
    with torch.no_grad():
        for kernel in ("dense", "sdpa", "chunked"):
            found = model.values(torch.from_numpy(ids), kernel=kernel).numpy()
            assert (found == evaluate(f, ids, AB)).all(), kernel
    assert certify(model, "bfloat16").length == certify(compile_formula(f, AB), "bfloat16").length


def test_it_is_torchs_layer_norm_on_any_numbers():
    norm = PairNorm([4, 7, 9, 2], {4, 9, 2})
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 5, 4)))
    found = norm(x)
    half = 2 * x[..., [0, 2, 3]] - 1
    expected = torch.nn.functional.layer_norm(torch.cat([half, -half], -1), (6,), eps=0.0)
    assert torch.allclose(found[..., :6], expected, atol=1e-12)
    assert torch.equal(found[..., 6:], x[..., 1:2])
    assert not torch.allclose(found[..., :3], half, atol=0.1), "what is not 0 or 1 does change"


def test_numbers_pass_by():
    model = compile_formula("(S (Q a) (lt (cl (Q b)) (cl (Q a))))", AB, norm="pre")
    names = model.program.columns
    numbers = {name for at, name in enumerate(names) if at not in booleans(names)}
    assert "rung" in numbers and any(name.startswith("count") for name in numbers)
    assert any(name.startswith("raw") for name in numbers) and not any("letter" in name for name in numbers)


def test_save_load_and_what_knows_no_norm(tmp_path):
    model = compile_formula("(S (Q a) (Q b))", AB, norm="pre", dtype=torch.float32)
    model.save(tmp_path / "model.ckpt")
    found = FormulaTransformer.load(tmp_path / "model.ckpt")
    assert found.norm == "pre" and found.decide(["abb", "bab"]) == model.decide(["abb", "bab"])
    with pytest.raises(ValueError, match="no layer norm"):
        model.decide(["ab"], "scan")
    with pytest.raises(ValueError, match="no layer norm"):
        certify(model, kernel="scan")
    with pytest.raises(ValueError, match="normalised pairs"):
        attention_matrices(model.layers[1].attention[0], 0, len(model.program.columns))
    with pytest.raises(ValueError, match="norm='post' is unknown"):
        compile_formula("(Q a)", AB, norm="post")
