"""The tasks of the `hard-attention` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

from dataclasses import asdict, astuple
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from offprints.app import Results, Run, command
from offprints.atomic import write_text
from offprints.checkpoint import Checkpoints, fingerprint
from offprints.errors import InputError
from offprints.tables import show, write_table
from offprints.training import reported

from hard_attention import beyond as beyond_certificates
from hard_attention import figures, given_files, maps, searching, theorems, training
from hard_attention.certificate import SOFT_KERNELS, certify
from hard_attention.config import Config
from hard_attention.corpora import run_corpus, summary, table
from hard_attention.datasets import Corpus
from hard_attention.explanation import explain_page
from hard_attention.fragments import fragment
from hard_attention.languages import languages
from hard_attention.networks import exact_run
from hard_attention.precision import PRECISIONS, precision_of
from hard_attention.runs import build_corpus, build_model, dtype_of
from hard_attention.softening import soften as soften_network
from hard_attention.surveys import survey
from hard_attention.transformer import FormulaTransformer, compile_formula
from hard_attention.verification import Verified
from hard_attention.verification import verify as verify_all

_SHOWN = (
    "a_star_b_star",
    "ab_plus",
    "subseq_abab",
    "flip_flop",
    "majority",
    "dyck1",
    "parity",
    "anbncn",
    "palindrome",
)


def check(config: Config, run: Run) -> Results:
    """Compile every language's formula, compare its transformer with the truth at every position, and certify its length."""
    corpus = build_corpus(config)
    run.dataset(corpus.name, corpus.checksums)
    kernel, dtype = config.model.kernel, dtype_of(config)
    with run.progress(len(corpus.parts), f"{kernel}, {config.model.dtype}") as bar:
        found = run_corpus(
            corpus,
            kernel=kernel,
            dtype=dtype,
            mode=config.model.mode,
            step=config.model.step,
            norm=config.model.norm,
            on_part=lambda part: bar.advance(1, {"wrong": float(part.wrong)}),
        )
    metrics = summary(found)
    shown = table(found)
    write_table(run.directory / "languages.tsv", shown)
    show(shown, f"{corpus.name}: {kernel}, {config.model.dtype}, {config.model.mode}")
    details = {"languages": [asdict(part) for part in found]}
    if corpus.name == "generated":
        metrics |= _formats(corpus, config)
    alphabets = {part.language: (part.formula, part.alphabet) for part in corpus.parts}
    certificates = {
        name: [certify(_compiled(*alphabets[name], config), precision) for precision in PRECISIONS]
        for name in _SHOWN
        if name in alphabets
    }
    if certificates:
        lengths = {name: {c.precision: c.length for c in found} for name, found in certificates.items()}
        rows = [[name, *by.values()] for name, by in lengths.items()]
        show(
            pd.DataFrame(rows, columns=["certified length", *PRECISIONS]),
            "how long strings may be, dense kernel",
        )
        run.figure(
            "certified",
            figures.certified_lengths(certificates),
            "The longest strings for which the answers are proved, by formula and number format",
        )
        metrics |= {
            f"certificate/{name}/{p}": float(n) for name, by in lengths.items() for p, n in by.items()
        }
    run.figure(
        "least_temperature",
        figures.least_temperature(),
        "The inverse temperature that a head needs, by length",
    )
    run.figure(
        "fixed_temperature",
        figures.fixed_temperature(),
        "The error of a head whose temperature does not follow the length",
    )
    with_rounding, without = maps.depth_errors()
    run.figure(
        "depth",
        figures.depth_errors(with_rounding, without),
        "The error of nested operators, with and without rounding between layers",
    )
    steps, length = (0.5, 1.0, 2.0, 4.0, 8.0), 128
    errors = beyond_certificates.errors_by_step(list(PRECISIONS), steps, length, 400, config.seed)
    run.figure(
        "temperature",
        figures.error_by_step(errors, steps, length),
        "The largest error of a head by the inverse temperature, in each number format",
    )
    surveyed = survey(seed=config.seed)
    run.figure(
        "gaps", figures.gaps(surveyed), "How far the best scores of random networks are from the second best"
    )
    run.figure(
        "bounds",
        figures.bounds_and_errors(surveyed),
        "Errors of softened networks, and the bounds that were proved for them",
    )
    metrics |= {
        f"temperature/{name}/b={b:g}": e
        for name, row in errors.items()
        for b, e in zip(steps, row, strict=True)
    }
    metrics["softening/violations"] = float(surveyed.violations)
    shown_model, string = compile_formula("(S (Q a) (Q b))", "abc"), "cbaaccbaab"
    soft, hard = (maps.attention_maps(shown_model, string, kernel)[0] for kernel in ("dense", "average"))
    run.figure(
        "attention",
        figures.attention_maps(soft, hard, string, "a S b"),
        "The weights of a softmax head and of a hard one on the same string",
    )
    metrics |= {"depth/with_rounding": max(with_rounding), "depth/without_rounding": max(without)}
    return Results(metrics, details)


def certify_formula(config: Config, run: Run) -> Results:
    """Certify model.formula in every format and by every softmax kernel: the length, and the argument head by head."""
    model = build_model(config)
    kind = fragment(model.program.formula)
    run.log.info("%s: languages: %s (%s); here: %s", kind.name, kind.languages, kind.source, kind.attention)
    metrics, rows, texts = {}, [], []
    for name in PRECISIONS:
        for kernel in SOFT_KERNELS:
            if kernel == "scan" and (precision_of(name).bits < 24 or model.program.normed):
                continue
            found = certify(model, name, kernel)
            rows.append([name, kernel, found.length, found.limit])
            texts.append(str(found))
            metrics[f"certificate/{name}/{kernel}"] = float(found.length)
    write_text(run.directory / "certificate.txt", "\n\n".join(texts) + "\n")
    show(
        pd.DataFrame(rows, columns=["format", "kernel", "length", "ends where"]),
        str(model.program.formula)[:100],
    )
    show(certify(model, config.model.dtype).table(), f"the argument, {config.model.dtype}, dense")
    return Results(metrics, {"fragment": asdict(kind)})


def verify(config: Config, run: Run) -> Results:
    """Try to refute a transformer: all strings up to verify.longest, then strings made to hurt at the certified length."""
    model, kernel = build_model(config), config.model.kernel
    certificate = certify(model, kernel=kernel) if kernel in SOFT_KERNELS else None
    every = verify_all(model, config.verify.longest, kernel)
    n = config.verify.length or min(certificate.length if certificate else 64, 256)
    if n < 1:
        raise InputError(
            "nothing is certified for this formula; verify.length=<n> searches at a length all the same"
        )
    with run.progress(config.verify.tries, f"strings of length {n}") as bar:
        hurt = searching.search(model, n, config.verify.tries, config.seed, kernel, on_batch=bar.advance)
    metrics = {
        "exhaustive/strings": float(every.strings),
        "exhaustive/wrong": float(every.wrong),
        "exhaustive/raw_error": every.largest_raw_error,
        "search/strings": float(hurt.strings),
        "search/wrong": float(hurt.wrong),
        "search/raw_error": hurt.largest_raw_error,
        "search/length": float(n),
    }
    if certificate is not None:
        metrics["certificate/length"] = float(certificate.length)
        # A wrong position counts against the certificate only as far as it reaches; `every` met the shortest string first.
        refuted = (hurt.wrong and n <= certificate.length) or 0 < len(every.example) <= certificate.length
        if refuted:
            run.log.error("the certificate is refuted by %r", hurt.example or every.example)
        metrics["certificate/refuted"] = float(bool(refuted))
    rows = [["all strings", every.strings, every.wrong, every.largest_raw_error, every.example[:40]]]
    rows += [
        [f"hard strings of length {n}", hurt.strings, hurt.wrong, hurt.largest_raw_error, hurt.example[:40]]
    ]
    show(
        pd.DataFrame(rows, columns=["", "strings", "wrong positions", "largest raw error", "example"]),
        "verification",
    )
    return Results(metrics)


def search(config: Config, run: Run) -> Results:
    """Try to refute certificates in every format: strings made to hurt, the worst bred further, up to the certified lengths."""
    options = config.search
    cells = searching.campaign(
        options.precisions, options.lengths, options.tries, options.at_the_end, options.longest
    )
    checkpoints = Checkpoints(
        run.directory / "checkpoints",
        "hard-attention search",
        fingerprint(seed=config.seed, cells=[str(cell) for cell in cells]),
    )
    last = checkpoints.load_last() if run.resuming else None
    found = [Verified(*row) for row in last.state["found"]] if last else []
    done = sum(cell.tries for cell in cells[: len(found)])
    with run.progress(sum(cell.tries for cell in cells), "strings", done) as bar:
        for cell, verified in searching.run_cells(cells, config.seed, len(found), bar.advance):
            found.append(verified)
            checkpoints.save_last({"found": [astuple(v) for v in found]}, len(found))
            if verified.wrong:
                run.log.error(
                    "%s, %s: the certificate of %s is refuted by %r",
                    cell.precision,
                    cell.probe.name,
                    f"{cell.certified:,}",
                    verified.example,
                )
    table = searching.searched_table(cells, found)
    write_table(run.directory / "search.tsv", table)
    show(table, "strings made to hurt, within certificates")
    metrics: dict[str, float] = {}
    for precision in options.precisions:
        mine = [v for cell, v in zip(cells, found, strict=True) if cell.precision == precision]
        metrics |= {
            f"search/{precision}/strings": float(sum(v.strings for v in mine)),
            f"search/{precision}/wrong": float(sum(v.wrong for v in mine)),
            f"search/{precision}/raw_error": max(v.largest_raw_error for v in mine),
        }
    return Results(metrics, {"cells": table.to_dict("records")})


def beyond(config: Config, run: Run) -> Results:
    """Go beyond certificates: the first length at which each language's transformer errs, and errors by length and format."""
    options = config.beyond
    chosen = [*languages(options.languages), *beyond_certificates.block_languages(options.blocks)]
    found = []
    with run.progress(len(chosen) * len(options.precisions), "languages") as bar:
        for precision in options.precisions:
            for language in chosen:
                failure = beyond_certificates.first_failure(
                    language, precision, options.longest, options.count, config.seed, within=options.within
                )
                found.append(failure)
                bar.advance(1)
    table = beyond_certificates.failures_table(found)
    write_table(run.directory / "failures.tsv", table)
    show(table, f"first failures up to length {options.longest:,}")
    metrics = {}
    for failure in found:
        name = f"{failure.precision}/{failure.language.replace(' ', '_')}"
        metrics[f"certificate/{name}"] = float(failure.certified)
        if failure.length is not None:
            metrics[f"first_failure/{name}"] = float(failure.length)
    refuted = [f for f in found if f.length is not None and f.length <= f.certified]
    metrics["certificate/refuted"] = float(len(refuted))
    curves = [
        beyond_certificates.error_curve(
            probe, precision, options.curves, options.points, options.tries, config.seed
        )
        for probe in beyond_certificates.CURVES
        for precision in PRECISIONS
    ]
    run.figure(
        "errors",
        figures.error_curves(curves),
        "The error of heads by length; dotted lines are where the certificates end",
    )
    shares = beyond_certificates.shares_right(
        chosen, options.precisions, options.lengths, options.count, config.seed
    )
    run.figure(
        "shares",
        figures.shares_right(shares),
        "The share of right positions by length, in each number format",
    )
    details = {"failures": [asdict(f) for f in found], "curves": [asdict(c) for c in curves]}
    return Results(metrics, {**details, "shares": shares.to_dict("records")})


def measure_theorems(config: Config, run: Run) -> Results:
    """Measure what the theorems say: least temperatures, fixed ones that fail, depth, random networks and random formulas."""
    metrics: dict[str, float] = {}
    stages = theorems.parts(config.seed)
    with run.progress(len(stages), "theorems") as bar:
        for stage in stages:
            for measured in stage():
                metrics |= measured
            bar.advance(1)
    show(pd.DataFrame(list(metrics.items()), columns=["", "value"]), "what the theorems say, measured")
    return Results(metrics)


def evaluate(config: Config, run: Run) -> Results:
    """The truth of model.formula at every position of string=..., and what the heads wrote before rounding."""
    model = build_model(config)
    ids = torch.from_numpy(model.program.alphabet.encode(config.string))[None]
    with torch.no_grad():
        truth = model(ids, kernel=config.model.kernel)[0].tolist()
        raw = model.raw(ids, kernel=config.model.kernel)
    rows = [["letter", *config.string], ["holds", *("yes" if t else "no" for t in truth)]]
    for head, values in zip(model.heads, raw.values(), strict=True):
        rows.append([str(head.formula)[:50], *(f"{v:.4f}" for v in values[0].tolist())])
    names = ["position", *map(str, range(1, len(truth) + 1))]
    show(pd.DataFrame(rows, columns=names), str(model.program.formula)[:100])
    model.save(run.directory / "model.ckpt")
    return Results({"evaluate/holds_at_last": float(truth[-1]), "evaluate/positions": float(len(truth))})


def train(config: Config, run: Run) -> Results:
    """Train on from compiled, disturbed or random weights (training.start): what gradient descent keeps, mends or finds."""
    options = config.training
    model = build_model(config)
    if model.precision.name not in ("float32", "float64"):
        raise InputError(f"task=train works in float32 and float64, and not in {model.precision.name}")
    compiled = training.shares_by_length(model, options, config.seed)
    with reported(run, options, "valid/right") as on_epoch:
        trainer = training.Trainer(
            model,
            options,
            seed=config.seed,
            directory=run.directory / "checkpoints",
            on_epoch=on_epoch,
            uninterrupted=run.uninterrupted,
        )
        before = [weight.detach().clone() for weight in model.parameters()]
        begun = training.shares_by_length(model, options, config.seed)
        outcome = trainer.fit()
    after = training.shares_by_length(model, options, config.seed)
    shares = [("compiled", compiled), ("start", begun), ("test", after)]
    show(
        pd.DataFrame([[who, *found.values()] for who, found in shares], columns=["weights", *after]),
        f"share of right positions, start: {options.start}",
    )
    run.figure(
        "training",
        figures.training_curve(outcome.history, options.start, options.length, max(options.tested)),
        "The share of right validation positions and the loss, epoch by epoch",
    )
    model.save(run.directory / "model.ckpt")
    metrics = {f"{who}/{name}": value for who, found in shares for name, value in found.items()}
    metrics["weights/moved"] = training.moved(model, before)
    details = {"best_epoch": outcome.best_epoch, "epochs": outcome.epochs, "history": outcome.history}
    return Results(metrics, details)


def soften(config: Config, run: Run) -> Results:
    """Soften a hard network of your own (soften.file=NPZ): the inverse temperature, the bound, and the error measured."""
    if config.soften.file is None:
        raise InputError("this task needs soften.file=<npz file with weights and inputs>")
    network, inputs = given_files.read(Path(config.soften.file))
    found = soften_network(network, inputs, config.soften.error)
    measured = max(float(np.abs(found(x) - exact_run(network, x).output).max()) for x in inputs)
    metrics = {
        "soften/inverse_temperature": found.inverse_temperature,
        "soften/bound": found.error,
        "soften/measured": measured,
        "soften/gap": found.gap,
        "soften/tie_term": found.tie_term,
        "soften/uniform_tieless": float(found.uniform_tieless),
    }
    show(pd.DataFrame(list(metrics.items()), columns=["", "value"]), f"{network.ties}, {len(inputs)} inputs")
    return Results(metrics)


def explain(config: Config, run: Run) -> Results:
    """Write one HTML page: formula, string, layers, attention maps soft beside hard, and the certificate."""
    model = build_model(config)
    page = explain_page(model, config.string)
    write_text(run.directory / "explanation.html", page)
    soft, hard = (maps.attention_maps(model, config.string, kernel) for kernel in ("dense", "average"))
    for number, (a, b, head) in enumerate(zip(soft, hard, model.heads, strict=True)):
        run.figure(
            f"head_{number}",
            figures.attention_maps(a, b, config.string, str(head.formula)[:80]),
            f"The weights of head {number}, soft and hard, on the string",
        )
    run.log.info("wrote %s", run.directory / "explanation.html")
    return Results({"explain/heads": float(len(model.heads)), "explain/layers": float(len(model.layers))})


def _compiled(formula: str, alphabet: str, config: Config) -> FormulaTransformer:
    """A formula's transformer in float64, by the options but for the format."""
    model = config.model
    return compile_formula(formula, alphabet, mode=model.mode, step=model.step, norm=model.norm)


def _formats(corpus: Corpus, config: Config) -> dict[str, float]:
    """The same strings in the other formats, by the dense kernel."""
    rows = []
    metrics: dict[str, float] = {}
    for name in ("float32", "float16", "bfloat16"):
        found = run_corpus(
            corpus,
            dtype=PRECISIONS[name].dtype,
            mode=config.model.mode,
            step=config.model.step,
            norm=config.model.norm,
        )
        wrong = {part.language: part.first_wrong for part in found if part.wrong}
        got = summary(found)
        metrics |= {
            f"{name}/{key.split('/', 1)[1]}": value for key, value in got.items() if key.startswith("test/")
        }
        names = ", ".join(f"{language} from {n}" for language, n in wrong.items())
        rows.append([name, got["test/right"], sum(part.wrong for part in found), names or "none"])
    show(
        pd.DataFrame(rows, columns=["format", "right", "wrong positions", "languages"]),
        "other formats, dense",
    )
    return metrics


TASKS = {
    "check": check,
    "certify": certify_formula,
    "verify": verify,
    "search": search,
    "beyond": beyond,
    "theorems": measure_theorems,
    "evaluate": evaluate,
    "soften": soften,
    "train": train,
    "explain": explain,
}
main = command(
    "hard_attention",
    Config,
    TASKS,
    "Simulating Hard Attention Using Soft Attention",
    with_checkpoint=("certify", "verify", "evaluate", "train", "explain"),
)
