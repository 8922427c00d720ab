"""The broker's computations beside those of others; writes results.json beside this file.

    nox -s "bench(sky-broker)"                         the table of docs/benchmarks.md
    nox -s "bench(sky-broker)" -- --rounds 5           quicker and noisier
    nox -s "bench(sky-broker)" -- --only transfer      a part: placement, catalog, spot, transfer
    nox -s "bench(sky-broker)" -- --no-peers           without CBC, which takes half a minute for a problem of 20 tasks

Every time is the median of rounds in which ours and its peer take turns, on one thread. plan_work.py, spot_work.py and transfer_work.py
say what is measured.
"""

from __future__ import annotations

from pathlib import Path

from plan_work import catalog, placement
from spot_work import spot
from transfer_work import transfer

from offprints.benchmark import run

if __name__ == "__main__":
    parts = {"placement": placement, "catalog": catalog, "spot": spot, "transfer": transfer}
    run(parts, __doc__, Path(__file__).with_name("results.json"))
