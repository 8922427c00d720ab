"""What torchrun starts: a small model trained on a ring of facts; its weights, flat, as JSON in the file named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed

from offprints.triples import KnowledgeGraph

from conve import ConvE, Trainer, TrainingOptions


def trained() -> dict[str, list[float]]:
    """The weights after three epochs, on this process alone or on its share of every batch."""
    train = [(f"p{i}", "next_to", f"p{(i * 7 + 3) % 31}") for i in range(31)]
    train += [(f"p{i}", "in", f"h{i % 3}") for i in range(31)]
    graph = KnowledgeGraph.from_splits("ring", train[:-6], train[-6:-3], train[-3:])
    torch.manual_seed(0)
    # No dropout: two processes draw other masks than one.
    model = ConvE(
        graph.num_entities, 4, 12, (4, 3), 4, input_dropout=0, feature_dropout=0, hidden_dropout=0
    ).double()
    Trainer(model, graph, TrainingOptions(epochs=3, batch_size=16, evaluate_every=0), seed=1).fit()
    return {name: value.flatten().tolist() for name, value in model.state_dict().items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    weights = trained()
    if torch.distributed.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(weights))
    torch.distributed.destroy_process_group()
