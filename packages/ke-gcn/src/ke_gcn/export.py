"""Take an alignment elsewhere: embeddings as arrays, and correspondences as a mapping table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from offprints.atomic import atomic_write, write_text

from ke_gcn.aligner import Aligner
from ke_gcn.pairs import AlignmentData


def export_npz(aligner: Aligner, data: AlignmentData, path: str | Path) -> Path:
    """Embeddings with their names.

    Arrays: entities (N,) names, left (N,) bool, entity (N, d); relations (R,) names, relation (R, d).
    """
    entity, relation = (rows.cpu().numpy() for rows in aligner.embed())
    names = {
        "entities": np.array([data.entity_name(i) for i in range(data.num_entities)]),
        "relations": np.array([data.relation_name(i) for i in range(data.num_relations)]),
    }
    with atomic_write(Path(path)) as file:
        np.savez(file, entity=entity, relation=relation, left=data.left, **names)  # type: ignore[arg-type]
    return Path(path)


def export_sssom(aligner: Aligner, data: AlignmentData, path: str | Path) -> Path:
    """Mutual nearest pairs of entities as a table in the columns of SSSOM, the standard for mappings of ontologies.

    The score is 1 / (1 + distance): it orders pairs, and is no probability.
    """
    found = aligner.predict(1, mutual=True)
    lines = [
        "subject_id\tpredicate_id\tobject_id\tmapping_justification\tsimilarity_score\tsimilarity_measure"
    ]
    lines += [
        f"{left}\tskos:exactMatch\t{right}\tsemapv:SemanticSimilarityThresholdMatching\t{1 / (1 - score):.6f}\t1/(1+L1)"
        for left, right, score in zip(found["left"], found["right"], found["score"], strict=True)
    ]
    write_text(Path(path), "\n".join(lines) + "\n")
    return Path(path)
