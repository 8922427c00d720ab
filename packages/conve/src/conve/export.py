"""Take a trained model elsewhere: embeddings as npz or parquet, the whole scorer as a torch.export program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from offprints.atomic import atomic_write
from offprints.errors import InputError
from offprints.triples import KnowledgeGraph

from conve.evaluation import scoring
from conve.scorer import Scorer


def export_npz(model: Scorer, graph: KnowledgeGraph, path: str | Path) -> Path:
    """Embeddings with their names: arrays entities, relations (names), entity, relation (embeddings), entity_bias.

    Relation rows R.. are the reciprocals of rows 0..R.
    """
    arrays = {"entities": np.array(graph.entities.names), "relations": np.array(graph.relations.names)}
    arrays |= {name: value.numpy() for name, value in _tables(model).items()}
    with atomic_write(Path(path)) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return Path(path)


def export_parquet(model: Scorer, graph: KnowledgeGraph, path: str | Path) -> Path:
    """Entity embeddings as a table: name, label, d columns e0, e1, ..., and the bias. Needs the extra `parquet`.

    Raises:
        InputError: pyarrow is not installed.
    """
    import pandas as pd

    tables = _tables(model)
    columns = {"entity": graph.entities.names, "label": [graph.label(name) for name in graph.entities.names]}
    table = pd.DataFrame(columns).join(pd.DataFrame(tables["entity"].numpy()).add_prefix("e"))
    if "entity_bias" in tables:
        table["bias"] = tables["entity_bias"].numpy()
    try:
        with atomic_write(Path(path)) as file:
            table.to_parquet(file, index=False)
    except ImportError as error:
        raise InputError("parquet needs pyarrow: pip install 'offprints-conve[parquet]'") from error
    return Path(path)


def export_program(model: Scorer, graph: KnowledgeGraph, path: str | Path, tolerance: float = 1e-5) -> Path:
    """The model as a program that needs torch but not this package: (head, relation) ids -> logits of all entities.

        program = torch.export.load(path).module()
        logits = program(head, relation)            # (batch,) int64 twice -> (batch, entities)

    The saved file is loaded again and compared with the model on every relation before this returns.

    Raises:
        RuntimeError: the program does not give the model's scores.
    """
    assert isinstance(model, nn.Module)
    # Made outside inference mode: torch.export traces with autograd on, which refuses inference tensors.
    head, relation = _questions(model, graph)
    with scoring(model):
        expected = model.score_tails(head, relation)
    was_training = model.training
    model.eval()
    batch = torch.export.Dim("batch", min=2, max=1 << 20)
    shapes = {"head": {0: batch}, "relation": {0: batch}}
    exported = torch.export.export(_Scores(model), (head, relation), dynamic_shapes=shapes)
    model.train(was_training)
    with atomic_write(Path(path)) as file:
        torch.export.save(exported, file)
    with torch.no_grad():
        found = torch.export.load(str(path)).module()(head, relation)
    error = float((found - expected).abs().max())
    if not error <= tolerance * max(1.0, float(expected.abs().max())):
        raise RuntimeError(f"{path}: the exported program differs from the model by {error:.2g}")
    return Path(path)


class _Scores(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, head: Tensor, relation: Tensor) -> Tensor:
        scores: Tensor = self.model.score_tails(head, relation)  # type: ignore[operator]
        return scores


def _tables(model: Scorer) -> dict[str, Tensor]:
    names = ("entity", "relation", "entity_bias")
    return {name: value.detach().cpu() for name, value in model.state_dict().items() if name in names}


def _questions(model: Scorer, graph: KnowledgeGraph) -> tuple[Tensor, Tensor]:
    device = next(model.parameters()).device
    relation = torch.arange(model.num_relations, device=device)
    return relation % graph.num_entities, relation
