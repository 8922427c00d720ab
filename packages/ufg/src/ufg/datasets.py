"""Every data set of the package whose files come from elsewhere, by name."""

from __future__ import annotations

from offprints.data import Dataset

from ufg.arxiv import ARXIV
from ufg.coauthor import COAUTHOR
from ufg.graph_data import TU
from ufg.planetoid import PLANETOID
from ufg.qm7 import MOLECULES

BENCHMARKS: dict[str, Dataset] = {**PLANETOID, **COAUTHOR, ARXIV.name: ARXIV, **TU, MOLECULES.name: MOLECULES}
