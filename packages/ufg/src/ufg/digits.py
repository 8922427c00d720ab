"""The embedded data: scikit-learn's 1,797 handwritten digits, each joined to those most like it, few of them labelled."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
from sklearn.neighbors import kneighbors_graph

from offprints.errors import InputError

from ufg.node_data import NodeData

LABELLED, VALIDATION = 5, 300


def digits_graph(
    neighbours: int = 10,
    labelled: int = LABELLED,
    noise: float = 0.0,
    seed: int = 0,
    split: int | None = None,
) -> NodeData:
    """A node for each digit, with its 64 pixels, and an edge to those that are nearest to it or that it is nearest to.

    Args:
        neighbours: k.
        labelled: digits of each class to train on.
        noise: standard deviation of Gaussian noise on the pixels, whose range is [0, 1]; the graph is made before.
        seed: of the split and the noise.
        split: seed of the split alone; None takes the same for both.

    Raises:
        InputError: a number does not fit.
    """
    if not (neighbours >= 1 and labelled >= 1 and noise >= 0):
        raise InputError(
            f"neighbours={neighbours} and labelled={labelled} are 1 or more, noise={noise} 0 or more"
        )
    found = load_digits()
    pixels, labels = found.data / 16, found.target.astype(np.int64)
    near = kneighbors_graph(pixels, neighbours).tocoo()
    edges = np.unique(np.sort(np.stack([near.row, near.col], 1), 1), axis=0).astype(np.int64)
    draw = np.random.default_rng(seed)
    order = (draw if split is None else np.random.default_rng(split)).permutation(len(labels))
    train = np.concatenate([order[labels[order] == digit][:labelled] for digit in range(10)])
    rest = order[~np.isin(order, train)]
    if len(rest) < 2 * VALIDATION:
        raise InputError(f"labelled={labelled} of each class leaves too few digits to test on")
    pixels = pixels + noise * draw.standard_normal(pixels.shape)
    digest = hashlib.sha256(found.data.tobytes() + found.target.tobytes()).hexdigest()
    return NodeData(
        name="digits",
        edges=edges,
        features=csr_array(pixels),
        labels=labels,
        train=np.sort(train),
        valid=np.sort(rest[:VALIDATION]),
        test=np.sort(rest[VALIDATION:]),
        checksums={"sklearn.datasets.load_digits": digest},
    )
