"""GCP sells accelerators apart from the machine that carries them: which host a GPU may be attached to.

The catalog has a row for the GPU alone and rows for machines; what can be rented is the sum of the two in one zone. Machines of families that
exist only with their GPU are no offer by themselves. TPUs come with their host, whose own rows are left out.

Source: the pages "GPU machine types" and "GPUs on Compute Engine" of Google Cloud's documentation, as of May 2026.
"""

from __future__ import annotations

import re

_FIXED = {
    ("A100", 1): ("a2-highgpu-1g",),
    ("A100", 2): ("a2-highgpu-2g",),
    ("A100", 4): ("a2-highgpu-4g",),
    ("A100", 8): ("a2-highgpu-8g",),
    ("A100", 16): ("a2-megagpu-16g",),
    ("A100-80GB", 1): ("a2-ultragpu-1g",),
    ("A100-80GB", 2): ("a2-ultragpu-2g",),
    ("A100-80GB", 4): ("a2-ultragpu-4g",),
    ("A100-80GB", 8): ("a2-ultragpu-8g",),
    ("H100", 1): ("a3-highgpu-1g",),
    ("H100", 2): ("a3-highgpu-2g",),
    ("H100", 4): ("a3-highgpu-4g",),
    ("H100", 8): ("a3-highgpu-8g",),
    ("H100-MEGA", 8): ("a3-megagpu-8g",),
    ("H200", 8): ("a3-ultragpu-8g",),
    ("B200", 8): ("a4-highgpu-8g",),
    ("L4", 1): ("g2-standard-4", "g2-standard-8", "g2-standard-12", "g2-standard-16", "g2-standard-32"),
    ("L4", 2): ("g2-standard-24",),
    ("L4", 4): ("g2-standard-48",),
    ("L4", 8): ("g2-standard-96",),
}
# The most vCPUs of an N1 machine that so many GPUs may be attached to. Four P100 may have 96 in some zones; 64 holds in all.
_MOST_VCPUS = {
    ("K80", 1): 8,
    ("K80", 2): 16,
    ("K80", 4): 32,
    ("K80", 8): 64,
    ("P100", 1): 16,
    ("P100", 2): 32,
    ("P100", 4): 64,
    ("P4", 1): 24,
    ("P4", 2): 48,
    ("P4", 4): 96,
    ("T4", 1): 48,
    ("T4", 2): 48,
    ("T4", 4): 96,
    ("V100", 1): 12,
    ("V100", 2): 24,
    ("V100", 4): 48,
    ("V100", 8): 96,
}
_N1 = re.compile(r"^n1-(standard|highmem|highcpu)-\d+$")
_ONLY_WITH_ACCELERATOR = re.compile(r"^(a2|a3|a4|g2)-|-tpu$")


def may_host(accelerator: str, count: float, instance_type: str, vcpus: float) -> bool:
    """Whether a machine of GCP can carry so many GPUs.

    Args:
        accelerator: as the catalog names it, such as "V100".
        count: how many of them.
        instance_type: of the machine.
        vcpus: that it has.
    """
    key = (accelerator, int(count))
    if key in _FIXED:
        return instance_type in _FIXED[key]
    return vcpus <= _MOST_VCPUS.get(key, 0) and _N1.match(instance_type) is not None


def stands_alone(instance_type: str) -> bool:
    """Whether a machine of GCP can be rented without an accelerator."""
    return _ONLY_WITH_ACCELERATOR.search(instance_type) is None


def brings_its_host(accelerator: str) -> bool:
    """Whether an accelerator of GCP is sold with its host: the TPUs are."""
    return accelerator.startswith("tpu-")
