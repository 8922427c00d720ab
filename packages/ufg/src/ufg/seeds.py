"""Several seeds of one network trained side by side: every sparse product serves all of them.

    outcome = train_copies(UFGNet(..., copies=10), data, options)

Each copy has its own weights, its own dropout and its own best epoch. Adam treats every number by itself, so that a copy is
trained as it would be alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from offprints.errors import InputError

from ufg.adjacency import LambdaMax
from ufg.networks import UFGNet, parameter_groups
from ufg.node_data import NodeData
from ufg.training import TrainingOptions


@dataclass(frozen=True)
class CopiesOutcome:
    """What came of each copy.

    Attributes:
        test: (S,) test accuracy at the epoch with the best validation accuracy, the first of several.
        valid: (S,) that validation accuracy.
        best_epoch: (S,) int64, from 1.
        last: (S,) test accuracy after the last epoch.
    """

    test: Tensor
    valid: Tensor
    best_epoch: Tensor
    last: Tensor


def train_copies(
    net: UFGNet,
    data: NodeData,
    options: TrainingOptions | None = None,
    seed: int = 0,
    *,
    lambda_max: LambdaMax = "bound",
    device: torch.device | str = "cpu",
) -> CopiesOutcome:
    """Train all copies of a network on the labelled nodes of a graph.

    Args:
        net: made with copies=S.
        data: the graph.
        options: how; its schedule holds, and nothing stops early.
        seed: of dropout.
        lambda_max: what the spectrum is scaled by; see `GraphOperator.from_scipy`.
        device: where to train.

    Returns:
        Of each copy; on the device.

    Raises:
        InputError: the network has no copies.
    """
    options = options or TrainingOptions()
    copies = net.convolutions[0].copies
    if not isinstance(copies, int):
        raise InputError("train_copies needs a network made with copies=S")
    net.to(device)
    op, x = data.operator(lambda_max).to(device), data.inputs().to(device)
    labels = torch.from_numpy(data.labels).to(device)
    train, valid, test = (
        torch.from_numpy(getattr(data, name)).to(device) for name in ("train", "valid", "test")
    )
    wanted = labels[train].unsqueeze(1).expand(-1, copies)
    torch.manual_seed(seed)
    groups = parameter_groups(net, options.weight_decay, options.gain_decay, options.bias_decay)
    optimizer = torch.optim.Adam(groups, options.learning_rate, fused=True)
    best = torch.full((copies,), -1.0, dtype=torch.float64, device=device)
    found, epochs = torch.zeros_like(best), torch.zeros_like(best, dtype=torch.int64)
    last = found
    for epoch in range(options.epochs):
        for group in optimizer.param_groups:
            group["lr"] = options.rate(epoch)
        net.train()
        optimizer.zero_grad(set_to_none=True)
        logits = net(op, x).index_select(0, train)
        # The mean over the nodes of each copy, summed over copies: each gets the gradient it would have alone.
        loss = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="sum") / len(train)
        loss.backward()
        optimizer.step()
        net.eval()
        with torch.no_grad():
            guesses = net(op, x).argmax(2)
        seen = (guesses[valid] == labels[valid].unsqueeze(1)).double().mean(0)
        last = (guesses[test] == labels[test].unsqueeze(1)).double().mean(0)
        better = seen > best
        best, found = torch.where(better, seen, best), torch.where(better, last, found)
        epochs = torch.where(better, epoch + 1, epochs)
    return CopiesOutcome(found, best, epochs, last)
