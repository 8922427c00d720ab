"""The broker's computations beside those of others; writes results.json beside this file.

    nox -s "bench(sky-broker)"                         the table of docs/benchmarks.md
    nox -s "bench(sky-broker)" -- --rounds 5           quicker and noisier
    nox -s "bench(sky-broker)" -- --only transfer      a part: spot, transfer

Every time is the median of rounds in which ours and its peer take turns, on one thread.
"""

from __future__ import annotations

from pathlib import Path

from spot_work import spot
from transfer_work import transfer

from offprints.benchmark import run

if __name__ == "__main__":
    run({"spot": spot, "transfer": transfer}, __doc__, Path(__file__).with_name("results.json"))
