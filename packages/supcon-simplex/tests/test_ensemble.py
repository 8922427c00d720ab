"""Many runs at once are as each of them alone."""

from __future__ import annotations

import pytest
import torch

from offprints.errors import InputError

from supcon_simplex import ensemble_supcon_loss, supcon_loss

REDUCTIONS = ["mean", "mean_positive", "mean_nonzero", "sum", "none"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [1.0, 0.5])
@pytest.mark.parametrize("temperature", [0.1, 0.005])
def test_runs_do_not_see_each_other(reduction: str, weight: float, temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(5, 13, 4, generator=generator)
    labels = torch.randint(4, (5, 13), generator=generator)
    labels[1] = 7  # a run with one class
    labels[2] = torch.arange(13)  # one without positives
    options = {"reduction": reduction, "positive_weight": weight}
    together = z.clone().requires_grad_()
    loss = ensemble_supcon_loss(together, labels, temperature, **options)
    loss.sum().backward()
    for run in range(5):
        alone = z[run].clone().requires_grad_()
        expected = supcon_loss(alone, labels[run], temperature, **options)
        expected.sum().backward()
        torch.testing.assert_close(loss[run].detach(), expected.detach(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(together.grad[run], alone.grad, rtol=1e-4, atol=2e-5)


def test_one_batch_may_serve_all_runs() -> None:
    z = torch.randn(3, 8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 2, 5])
    shared = ensemble_supcon_loss(z, labels, 0.3)
    assert torch.equal(shared, ensemble_supcon_loss(z, labels.expand(3, 8), 0.3))
    torch.testing.assert_close(shared[2], supcon_loss(z[2], labels, 0.3))


def test_shapes_that_do_not_fit_are_refused() -> None:
    z, labels = torch.randn(3, 8, 4), torch.zeros(3, 8, dtype=torch.int64)
    for wrong_z, wrong_labels in (
        (z[0], labels),
        (z, labels[:, :7]),
        (z.long(), labels),
        (z[:, :0], labels[:, :0]),
    ):
        with pytest.raises(InputError, match="must be"):
            ensemble_supcon_loss(wrong_z, wrong_labels)
