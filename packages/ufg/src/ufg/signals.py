"""Tasks without training: denoising and compression, where the energy of a signal lies, and how tight the frame is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from offprints.app import Results, Run
from offprints.errors import InputError
from offprints.tables import show

from ufg import figures
from ufg.config import Config
from ufg.denoise import compress, denoise, snr_gain, tikhonov
from ufg.networks import UFGNet
from ufg.node_data import NodeData
from ufg.node_runs import load_nodes
from ufg.runs import build_transform, open_run, scaling
from ufg.transform import FrameletTransform

_TERMS = (*range(2, 9), 10, 12, 16, 20, 24, 32, 48)


def signal(config: Config, run: Run) -> Results:
    """Denoise and compress the features of a graph without training."""
    data = load_nodes(config, run)
    return Results(denoising(config, run, data) | compression(config, run, data))


def spectrum(config: Config, run: Run) -> Results:
    """Energies of the blocks of features and labels, and with checkpoint=RUN what its convolutions pass through."""
    if config.checkpoint is not None:
        opened = open_run(config.checkpoint)
        config = replace(opened.config, seed=config.seed)
        transform = build_transform(config.transform)
        if not isinstance(opened.net, UFGNet) or not isinstance(opened.data, NodeData):
            raise InputError(f"{opened.config.model.kind} on {opened.data.name} has no framelet convolutions")
        data = opened.data
        run.dataset(data.name, data.checksums)
        eigenvalues = np.linspace(0, 2, 257)
        passed = opened.net.responses(eigenvalues)
        layers = [f"convolution {number}" for number in range(1, len(passed) + 1)]
        run.figure(
            "passed",
            figures.responses(eigenvalues, passed, layers),
            "What each layer of the network passes, by the eigenvalue of the Laplacian",
        )
    else:
        data, transform = load_nodes(config, run), build_transform(config.signal.transform)
    op = data.operator(scaling(config.dataset))
    classes = np.arange(data.num_classes)
    signals = {
        "features": torch.from_numpy(data.features.toarray()).float(),
        "labels": torch.from_numpy(data.labels[:, None] == classes).float(),  # of a node without label, none
    }
    draw = torch.Generator().manual_seed(config.seed)
    signals["white noise"] = torch.randn(data.num_nodes, 32, generator=draw)
    shares = {name: transform.energies(op, x).tolist() for name, x in signals.items()}
    names = transform.block_names
    show(pd.DataFrame({"block": names, **shares}), f"{data.name}: energy of each block")
    run.figure(
        "energies",
        figures.grouped_bars(names, shares, "share of the energy"),
        "Where the energy of features and labels lies, block by block",
    )
    return Results(
        {
            f"energy/{name}: {block}": share
            for name, values in shares.items()
            for block, share in zip(names, values, strict=True)
        }
    )


def frame(config: Config, run: Run) -> Results:
    """How far the transform is from a tight frame, as its Chebyshev terms grow from n = 2."""
    return Results(frame_defects(build_transform(config.transform), run))


def denoising(config: Config, run: Run, data: NodeData) -> dict[str, float]:
    """Gains in dB of framelets and of a smoother over the noise that the options name, with figures."""
    if not config.signal.noise:
        raise InputError("signal.noise is empty: there is nothing to denoise")
    op = data.operator(scaling(config.dataset))
    transform = build_transform(config.signal.transform)
    clean = torch.from_numpy(data.features.toarray()).float()
    draw = torch.Generator().manual_seed(config.seed)
    gains: dict[str, list[float]] = {"framelets": [], "Tikhonov, best strength": []}
    for sigma in config.signal.noise:
        noisy = clean + sigma * torch.randn(clean.shape, generator=draw)
        found = denoise(op, noisy, config.signal.method, None, config.signal.rule, transform)
        # The smoother is given what it could not know: the strength that comes closest to the clean signal.
        smooth = max(
            (tikhonov(op, noisy, 2.0**power) for power in range(-4, 5)),
            key=lambda y: snr_gain(clean, noisy, y),
        )
        gains["framelets"].append(snr_gain(clean, noisy, found.signal))
        gains["Tikhonov, best strength"].append(snr_gain(clean, noisy, smooth))
        last = {"clean": clean, "noisy": noisy, "framelets": found.signal, "Tikhonov": smooth}
    if data.name == "digits":
        some = {name: values[:10].numpy() for name, values in last.items()}
        run.figure(
            "denoising",
            figures.pictures(some, 8),
            "Ten digits: clean, with noise, and denoised along the graph of all digits",
        )
    run.figure(
        "denoising_gain",
        figures.curves(config.signal.noise, gains, "standard deviation of the noise", "gain in dB"),
        "What denoising gains, by the noise",
    )
    return {
        f"{name}/snr_gain_{sigma:g}": gain
        for name, key in (("denoise", "framelets"), ("tikhonov", "Tikhonov, best strength"))
        for sigma, gain in zip(config.signal.noise, gains[key], strict=True)
    }


def compression(config: Config, run: Run, data: NodeData) -> dict[str, float]:
    """Relative errors of what is restored from the shares of coefficients that the options name, with a figure."""
    op = data.operator(scaling(config.dataset))
    transform = build_transform(config.signal.transform)
    x = torch.from_numpy(data.features.toarray()).float()
    errors = [compress(op, x, keep, transform).error for keep in config.signal.keep]
    drawn = figures.curves(
        config.signal.keep, {"framelets": errors}, "share of high-pass coefficients kept", "relative error"
    )
    run.figure(
        "compression", drawn, "What is lost of the features, by the share of coefficients that is kept"
    )
    return {f"compress/error_{keep:g}": error for keep, error in zip(config.signal.keep, errors, strict=True)}


def frame_defects(transform: FrameletTransform, run: Run) -> dict[str, float]:
    """Frame bounds of a transform, and its distance from a tight frame with n = 2, ..., 8 terms and more if it has more, with figures."""
    eigenvalues = np.linspace(0, 2, 513)
    variants = {
        terms: replace(transform, terms=terms) for terms in _TERMS if terms <= max(8, transform.terms)
    }
    totals = {terms: one.frame_response(eigenvalues) for terms, one in variants.items()}
    title = f"{transform.bank.name}, {transform.levels} levels"
    run.figure(
        "frame_defect",
        figures.frame_defect(eigenvalues, totals, title),
        "How far the transform is from a tight frame, by the number of Chebyshev terms",
    )
    exact = transform.response(eigenvalues, exact_filters=True)
    found = transform.response(eigenvalues)
    run.figure(
        "responses",
        figures.responses(eigenvalues, found, transform.block_names, exact),
        "What each block of the transform passes, by the eigenvalue of the Laplacian",
    )
    bounds = {terms: one.frame_bounds() for terms, one in variants.items()}
    table = pd.DataFrame([(n, *both) for n, both in bounds.items()], columns=["terms", "lower", "upper"])
    show(table, "frame bounds")
    low, high = transform.frame_bounds()
    defects = {f"frame/defect_n{n}": max(upper - 1, 1 - lower) for n, (lower, upper) in bounds.items()}
    return {"frame/lower": low, "frame/upper": high, **defects}
