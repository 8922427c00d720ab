"""How Framelets Enhance Graph Neural Networks (Zheng et al., ICML 2021): tight frames on graphs, convolution and pooling.

from ufg import FrameletTransform, GraphOperator

op = GraphOperator.from_edges([[0, 1], [1, 2]], num_nodes=4)
transform = FrameletTransform("haar", levels=2, terms=8)
blocks = transform.analyze(op, x)             # (K, N, C)
transform.synthesize(op, blocks)              # x again
"""

from ufg.denoise import Compressed, Denoised, compress, denoise
from ufg.exact import NotConverged
from ufg.filters import FILTERS, FilterBank, chebyshev_table, filter_bank, narrow_bank
from ufg.graph import GraphOperator
from ufg.layers import UFGConv, UFGPool
from ufg.learned import TightFilters
from ufg.networks import SmoothingLayer, UFGGraphNet, UFGNet, load_published, parameter_groups
from ufg.seeds import CopiesOutcome, train_copies
from ufg.shrink import Universal, median_deviation, shrink, sure_threshold
from ufg.sparse import ConstantMatrix
from ufg.spectrum import largest_eigenvalues
from ufg.transform import FrameletTransform

__version__ = "0.1.0"

__all__ = [
    "FILTERS",
    "Compressed",
    "ConstantMatrix",
    "CopiesOutcome",
    "Denoised",
    "FilterBank",
    "FrameletTransform",
    "GraphOperator",
    "NotConverged",
    "SmoothingLayer",
    "TightFilters",
    "UFGConv",
    "UFGGraphNet",
    "UFGNet",
    "UFGPool",
    "Universal",
    "chebyshev_table",
    "compress",
    "denoise",
    "filter_bank",
    "largest_eigenvalues",
    "load_published",
    "median_deviation",
    "narrow_bank",
    "parameter_groups",
    "shrink",
    "sure_threshold",
    "train_copies",
]
