"""From the options to data, a transform and a network, and back from the directory of a run to what it trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from offprints.checkpoint import Checkpoints
from offprints.errors import InputError
from offprints.trained import options_of_run, weights_of_run
from offprints.user_errors import closest

from ufg.adjacency import LambdaMax
from ufg.arxiv import ARXIV
from ufg.baselines import Network, PlainPool, SimplifiedNetwork
from ufg.coauthor import COAUTHOR
from ufg.config import Config, DatasetConfig, ModelConfig, TransformConfig
from ufg.dgl_baselines import KINDS as DGL_KINDS
from ufg.dgl_baselines import DGLNetwork
from ufg.digits import digits_graph
from ufg.graph_data import TU, GraphData, GraphSplit, random_split
from ufg.layers import UFGPool
from ufg.networks import UFGGraphNet, UFGNet
from ufg.node_data import NodeData
from ufg.own_graph import own_graph
from ufg.planetoid import PLANETOID
from ufg.qm7 import MOLECULES
from ufg.shrink import Universal
from ufg.training import checkpoint_fingerprint
from ufg.transform import FrameletTransform

NODE_SETS = ("digits", *PLANETOID, *COAUTHOR, ARXIV.name, "own")
GRAPH_SETS = (*TU, "qm7", "qm7_published")


def build_nodes(options: DatasetConfig, seed: int) -> NodeData:
    """The graph that the options name, with its noise.

    Args:
        options: of the data set.
        seed: of the split where there is no published one, and of the noise.

    Raises:
        InputError: no graph with labelled nodes is called so, or an option does not fit.
        DataError: its files are missing or wrong.
    """
    if options.name == "digits":
        data = digits_graph(options.neighbours, options.labelled, options.feature_noise, seed, options.split)
    elif options.name in PLANETOID:
        data = PLANETOID[options.name].load()
        if options.feature_noise:
            data = data.with_flipped_features(options.feature_noise, seed)
    elif options.name in COAUTHOR:
        data = COAUTHOR[options.name].load(seed=seed if options.split is None else options.split)
        if options.feature_noise:
            data = data.with_flipped_features(options.feature_noise, seed)
    elif options.name == ARXIV.name:
        if options.feature_noise:
            raise InputError("feature_noise moves words, and the features of arxiv are no words")
        data = ARXIV.load()
    elif options.name == "own":
        if options.path is None or options.feature_noise:
            raise InputError(
                "dataset.name=own needs dataset.path=<folder or npz>, and takes no feature_noise"
            )
        data = own_graph(options.path, seed if options.split is None else options.split)
    else:
        raise InputError(_unknown(options.name, NODE_SETS, "a graph with labelled nodes"))
    return data.with_rewired_edges(options.edge_noise, seed) if options.edge_noise else data


def build_graphs(options: DatasetConfig, seed: int) -> tuple[GraphData, GraphSplit]:
    """The set of graphs that the options name, and its split.

    Args:
        options: of the data set.
        seed: of the split, where the options name none.

    Raises:
        InputError: no set of graphs is called so, or the options ask for noise.
        DataError: its files are missing or wrong.
    """
    if options.feature_noise or options.edge_noise:
        raise InputError(
            "dataset.feature_noise and dataset.edge_noise are of one graph, not of a set of graphs"
        )
    if options.name in TU:
        data = TU[options.name].load()
    elif options.name in ("qm7", "qm7_published"):
        data = MOLECULES.load(chemistry=options.name == "qm7")
    else:
        raise InputError(_unknown(options.name, GRAPH_SETS, "a set of graphs"))
    return data, random_split(len(data.sizes), seed if options.split is None else options.split)


def build_transform(options: TransformConfig) -> FrameletTransform:
    """The transform of the options."""
    return FrameletTransform(**asdict(options))


def scaling(options: DatasetConfig) -> LambdaMax:
    """lambda_max as `GraphOperator` takes it: a word or a number."""
    try:
        return float(options.lambda_max)
    except ValueError:
        return options.lambda_max


def build_node_net(
    options: ModelConfig, transform: FrameletTransform, data: NodeData, seed: int
) -> nn.Module:
    """A fresh network for the nodes of a graph.

    Raises:
        InputError: an option has no such value.
    """
    torch.manual_seed(seed)
    sizes = (data.features.shape[1], options.hidden, data.num_classes)
    if options.kind == "ufg":
        return UFGNet(
            *sizes,
            dropout=options.dropout,
            transform=transform,
            gain=options.gain,
            gain_init=(options.low_gain, *(options.level_gains or [options.high_gain])),
            anchored=options.anchored,
            learned=options.learned,
            num_nodes=data.num_nodes if options.gain == "node" else None,
            shrinkage=options.shrinkage,
            threshold=Universal(options.sigma, options.multiscale),
        )
    if options.kind in Network.KINDS:
        return Network(options.kind, *sizes, dropout=options.dropout)
    if options.kind == "sgc":
        return SimplifiedNetwork(sizes[0], sizes[2])
    if options.kind in DGL_KINDS:
        return DGLNetwork(options.kind, *sizes, dropout=options.dropout)
    raise InputError(_unknown(options.kind, ("ufg", *Network.KINDS, "sgc", *DGL_KINDS), "a network"))


def build_graph_net(
    options: ModelConfig, transform: FrameletTransform, data: GraphData, seed: int
) -> nn.Module:
    """A fresh network for a set of graphs.

    Raises:
        InputError: an option has no such value.
    """
    torch.manual_seed(seed)
    sizes = (data.features.shape[1], options.hidden, data.num_outputs)
    if options.pool.startswith("ufg-"):
        pool = UFGPool(transform, options.pool.removeprefix("ufg-"))
        return UFGGraphNet.of(*sizes, pool, dropout=options.dropout)
    return UFGGraphNet(*sizes, PlainPool(options.hidden, options.pool), 1, dropout=options.dropout)


@dataclass(frozen=True)
class OpenedRun:
    """A training run read back: its options, its data, and its network with the best weights.

    Attributes:
        config: of the run.
        data: a graph, or a set of graphs.
        net: trained.
    """

    config: Config
    data: NodeData | GraphData
    net: nn.Module


def open_run(directory: str | Path) -> OpenedRun:
    """Read a training run back from its directory.

    Raises:
        MissingRun: no training run there, or none that has trained yet.
        InputError: its options are not those of this package.
        CheckpointError: the checkpoint is damaged, or of other data than the files say now.
    """
    config = options_of_run(directory, Config)
    transform = build_transform(config.transform)
    data: NodeData | GraphData
    if config.dataset.name in GRAPH_SETS:
        data, _ = build_graphs(config.dataset, config.seed)
        net = build_graph_net(config.model, transform, data, config.seed)
    else:
        data = build_nodes(config.dataset, config.seed)
        net = build_node_net(config.model, transform, data, config.seed)
    kept = Checkpoints(Path(directory) / "checkpoints", "ufg", checkpoint_fingerprint(net, data.fingerprint))
    net.load_state_dict(weights_of_run(kept))
    return OpenedRun(config, data, net.eval())


def _unknown(name: str, known: tuple[str, ...], what: str) -> str:
    return f"{name!r} is not {what}{closest(name, known)}"
