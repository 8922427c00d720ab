"""Traces of where and when spot nodes could be had, in the format of the authors of "Can't Be Late", and made-up ones.

A file is JSON, {"metadata": {"gap_seconds": g}, "data": [...]}, plain or with gzip. What its numbers mean is not written in it: in the traces
that the authors released they count the nodes that could be had, while the files of their simulator say 1 where a node was taken away. Read
the wrong way round a file still "works", so whoever reads one has to say which it is, and for the released ones the share of the time in
which nodes could be had is recorded here and compared.

Source: Wu et al. 2024, "Can't Be Late: Optimizing Spot Instance Savings under Deadlines", NSDI; github.com/skypilot-org/spot-traces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offprints.content import parse_json, read_text
from offprints.data import DataFile, Dataset
from offprints.errors import DataError, InputError, MissingFile
from offprints.user_errors import closest

from sky_broker.spot import Bools

_RELEASED = """
availability/1-node/aws-02-15-2023/us-east-1a_v100_1 cf87a4e199af5178fab1f899b32ddebc717ed2bf5aa0ff7530af264cff0624a1 0.1667
availability/1-node/aws-02-15-2023/us-east-1c_v100_1 4d272fad5eb7141a5a2053598ae3dace4bad61413f5efe2aa16ad59c25c8197b 0.4665
availability/1-node/aws-02-15-2023/us-east-1d_v100_1 5f6a9f4df65cf1ce6b81656aefd419f915dc241ce2dc015ac7db81d7064eca89 0.4473
availability/1-node/aws-02-15-2023/us-east-1f_v100_1 d520e66fc839d41cb1d5c81e147e8885d3f2926ddb9d485df55772217d87ebc6 0.5912
availability/1-node/aws-02-15-2023/us-east-2a_v100_1 568de3507c66707eaa222fdcf26ab98ee8032959dc72bf3c5c456722be912562 0.7593
availability/1-node/aws-02-15-2023/us-east-2b_v100_1 267c54353023ad0434937efc9bd0e39a8103b774a698b631c7ba2b1a985e6f28 0.6822
availability/1-node/aws-02-15-2023/us-west-2a_v100_1 2f67ddba78f9bfe2df31e4c56bc480bbc98771bca6c3a33b2b9e5a105909c53a 0.8831
availability/1-node/aws-02-15-2023/us-west-2b_v100_1 93c132b5f9c70572d22a6a546c58ce78657e3d6bd56994c7052756e930af42c9 0.9050
availability/1-node/aws-02-15-2023/us-west-2c_v100_1 c2f11da8c6083ad16d3812046897d6e3a8286df18e36cc386f24c5a748471d89 0.8913
availability/1-node/aws-10-26-2022/us-west-2a_k80_1 56ece817845572653c37691eefe3814ad99cf1f277c772a0a6fc615b16cfa594 0.8927
availability/1-node/aws-10-26-2022/us-west-2a_k80_8 ecb5f2986bff1f5e80b2ea44d23aca29cfd03ca47c7bc2e309b525ca42f8b571 0.3263
availability/1-node/aws-10-26-2022/us-west-2a_v100_1 51100f536cec660cd324125f02cdb45a4bdda3ccfdad790a1842b9c94bd365e2 0.7926
availability/1-node/aws-10-26-2022/us-west-2a_v100_8 41971ffc4be92abc945b42e10edd8489f7ecbb59806e69c329b703b9b8d3b831 0.4798
availability/1-node/aws-10-26-2022/us-west-2b_k80_1 9697653ce4f26491498a27f4cd4841085af9de89578983be6a9fe728ec489245 0.1166
availability/1-node/aws-10-26-2022/us-west-2b_k80_8 ab59caed709b533ea9c03a853cf238cdbc475af3723bc4513e289f38d9ac3f5c 0.4080
availability/1-node/aws-10-26-2022/us-west-2b_v100_1 37690146ecbd330903e0aa791b748d40574a4766af0647cbd6b8841d33c42ce3 0.7158
availability/1-node/aws-10-26-2022/us-west-2b_v100_8 bbbd8b70b6b6075cec63804bffd1e105b46d7fd8466d6d3d06217d51fd39323f 0.4657
availability/16-node/aws-08-27-2023/us-east-2b_v100_1 fa1f117fd25696aa36250d73f4a47954a281c04243cadbe47074b9ae4a70659f 0.5474
availability/16-node/aws-08-27-2023/us-west-2a_v100_1 0aae822d720585aa435b6a04248d2bd21ec1cdaab112e6cbfb23b12f5f664078 0.4312
availability/16-node/aws-08-27-2023/us-west-2c_v100_1 0a540de491d1e1764c1e913ecef04e0475717acb328cf1a8d601948cac138c83 0.4270
preemption/1-node/aws-04-19-2023/us-east-1b_intel_64 8acc11e8d5cbb14a8ce72d7850d75055c40236196f29fca987d73a0f3a8892c7 0.8505
preemption/1-node/aws-04-19-2023/us-east-1c_intel_64 9b870aad26d2fa556977da0ee521259b703a7b968413d7ca9b40395722062caf 0.6393
preemption/1-node/aws-04-19-2023/us-east-1d_intel_64 42abfe4b0eaaac4774a440fbabe4bdf6afeda4eaffc752619867e84464959b6f 0.9400
preemption/1-node/aws-04-22-2023/us-east-1c_v100_1 8405520cdc1f8327997709972c7fb7df63e28d320416223a65f94bc7115bb8c9 0.3143
preemption/1-node/aws-04-22-2023/us-east-1f_v100_1 05dd39a548ed2714d23c19188b5385051547cd3650d3327c2bee90be92893dbc 0.5920
preemption/1-node/aws-04-22-2023/us-west-2b_v100_1 6e9b7f7fec8be121ce94cc0e0e9d9a14dd57a5dcf6911388f49641f47a2bb064 0.7928
preemption/1-node/aws-04-22-2023/us-west-2c_v100_1 68ddceb31103227f62ec2ef3e8459e47810eb42b573a7b8e6d501885e073cd63 0.7310
preemption/1-node/gcp-04-30-2023/us-central1-a_c3-88 7284da6a77ec3676fe0ac6dc864c0ce490145bd0e61a9fc983d82989ded13e19 0.9998
preemption/1-node/gcp-04-30-2023/us-central1-b_c3-88 7284da6a77ec3676fe0ac6dc864c0ce490145bd0e61a9fc983d82989ded13e19 0.9998
preemption/1-node/gcp-04-30-2023/us-central1-c_c3-88 7284da6a77ec3676fe0ac6dc864c0ce490145bd0e61a9fc983d82989ded13e19 0.9998
preemption/1-node/gcp-04-30-2023/us-east1-b_c3-88 f2064bd5e8b908eb2517d2b4a3a4f1f4015f6531103f2f5ad6053ea6e2893280 0.9543
preemption/4-node/aws-08-03-2023/us-east-1f_v100_1 bfd67f8b3bfb267f3145e22ff1c52a036e0151ad2c3826f08d7668c54fd60dbe 0.3439
preemption/4-node/aws-08-03-2023/us-east-2a_v100_1 ce9eb00a1c6f49a77c5258e12363a5acc10a2180a793e99c10457fe47d0d7f47 0.7309
preemption/4-node/aws-08-03-2023/us-west-2c_v100_1 19548cb2e5ec120fb5e12a11203e0a22ee9d9387993cfbe909d8fea4e04fa400 0.8161
"""
_ROWS = [line.split() for line in _RELEASED.split("\n") if line]
_AVAILABLE = {name: float(share) for name, _, share in _ROWS}

SPOT_TRACES = Dataset(
    name="spot-traces",
    title="Availability of spot nodes on AWS and GCP, October 2022 to August 2023",
    licence="none stated; released by the authors for research",
    citation="Wu et al. 2024, Can't Be Late, NSDI; github.com/skypilot-org/spot-traces at commit 221da1ab",
    files=tuple(DataFile(f"{name}.json", sha256=digest) for name, digest, _ in _ROWS),
)
DATASETS = (SPOT_TRACES,)


@dataclass(frozen=True, eq=False)
class Trace:
    """How many spot nodes could be had, tick by tick.

    Attributes:
        name: of the zone and the kind of node.
        gap_seconds: length of a tick.
        nodes: (ticks,) int64, how many; 0 or 1 in the traces of one node.
    """

    name: str
    gap_seconds: float
    nodes: NDArray[np.int64]

    def available(self, needed: int = 1) -> Bools:
        """(ticks,) whether so many nodes could be had at once.

        Args:
            needed: of a job that computes on several nodes and stops if it has fewer.

        Raises:
            InputError: fewer than 1 are needed.
        """
        if needed < 1:
            raise InputError(f"a job needs 1 node or more, not {needed}")
        enough: Bools = self.nodes >= needed
        return enough

    def windows(self, starts: NDArray[np.int64], ticks: int, needed: int = 1) -> Bools:
        """The availability from some starts on.

        Args:
            starts: (windows,) first tick of each.
            ticks: length of each.
            needed: nodes that have to be there at once.

        Returns:
            (windows, ticks).

        Raises:
            InputError: a window leaves the trace.
        """
        if len(starts) and not (starts.min() >= 0 and starts.max() + ticks <= len(self.nodes)):
            raise InputError(
                f"{self.name} has {len(self.nodes)} ticks; no window of {ticks} begins at {starts.max()}"
            )
        windows: Bools = self.available(needed)[starts[:, None] + np.arange(ticks)]
        return windows


def released_trace(name: str, root: str | Path | None = None) -> Trace:
    """A trace of the authors.

    Args:
        name: the end of its path without .json, such as "aws-10-26-2022/us-west-2a_v100_1".
        root: where data sets lie; $OFFPRINTS_DATA or the user's cache by default.

    Raises:
        InputError: there is no such trace, or there are several.
        MissingFile: with the folder that it was looked for in.
        ChecksumMismatch: it is not the file that was released.
        DataError: nodes could be had in another share of the time than in the released trace: it was read the wrong way round.
    """
    full = [known for known in _AVAILABLE if known == name or known.endswith(f"/{name}")]
    if len(full) != 1:
        raise InputError(
            f"no released trace, or no single one, is called {name!r}{closest(name, released_names())}"
        )
    trace = _parse(SPOT_TRACES.read_bytes(f"{full[0]}.json", root), name, "available")
    share = float(trace.nodes.mean() / trace.nodes.max())
    if abs(share - _AVAILABLE[full[0]]) > 1e-4:
        raise DataError(
            f"{name}: nodes could be had in {share:.4f} of the time, not in {_AVAILABLE[full[0]]}"
        )
    return trace


def released_names() -> list[str]:
    """What `released_trace` knows: "collection/zone_node"."""
    return ["/".join(name.split("/")[-2:]) for name in _AVAILABLE]


def read_trace(path: str | Path, ones: str) -> Trace:
    """A trace file of your own.

    Args:
        path: JSON, or JSON with gzip if it ends in .gz.
        ones: what a 1 says of a tick: "available", as in the released traces, or "preempted", as in the files of the authors' simulator.

    Raises:
        MissingFile: there is no such file.
        CorruptFile: it is a truncated or damaged gzip file.
        InputError: it is no trace, or `ones` is neither word.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no trace file {path}")
    return _parse(read_text(path), path.name, ones)


def made_up_trace(
    seed: int, hours: float, gap_seconds: float = 600.0, up_hours: float = 2.0, down_hours: float = 1.0
) -> Trace:
    """A trace that nobody measured: spells with and without a node, each of a length drawn from an exponential distribution.

    Args:
        seed: of the lengths.
        hours: of the whole.
        gap_seconds: length of a tick.
        up_hours: mean spell with a node.
        down_hours: mean spell without.

    Raises:
        InputError: a length is not positive.
    """
    if not min(hours, gap_seconds, up_hours, down_hours) > 0:
        raise InputError("hours, gap_seconds, up_hours and down_hours of a made-up trace are above 0")
    random = np.random.default_rng(seed)
    ticks = int(hours * 3600 / gap_seconds)
    leave = gap_seconds / 3600 / np.array([down_hours, up_hours])
    drawn = random.random(ticks)
    nodes = np.zeros(ticks, dtype=np.int64)
    now = int(random.random() < up_hours / (up_hours + down_hours))
    for tick in range(ticks):
        now = 1 - now if drawn[tick] < leave[now] else now
        nodes[tick] = now
    return Trace(f"made up, seed {seed}", gap_seconds, nodes)


def _parse(content: str | bytes, name: str, ones: str) -> Trace:
    if ones not in ("available", "preempted"):
        raise InputError(f"ones={ones!r}: a 1 says either 'available' or 'preempted'")
    found: Any = parse_json(content, name)
    try:
        gap, data = float(found["metadata"]["gap_seconds"]), np.array(found["data"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(
            f'{name} is no trace {{"metadata": {{"gap_seconds": ..}}, "data": [..]}}: {type(error).__name__}: {error}'
        ) from error
    counts = data.ndim == 1 and len(data) > 0 and data.dtype.kind == "i" and data.min() >= 0
    if not counts or not 0 < gap < math.inf:
        raise InputError(f"{name}: a trace has a positive gap_seconds and a list of counts from 0 on as data")
    if ones == "preempted":
        if data.max() > 1:
            raise InputError(f"{name}: counts up to {data.max()} cannot say 1 where a node was preempted")
        data = 1 - data
    return Trace(name, gap, data.astype(np.int64))
