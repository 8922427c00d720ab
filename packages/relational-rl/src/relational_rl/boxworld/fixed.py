"""The fixed levels that agents are compared on: drawn once by the authors' own program, and never trained on.

They lie in the folder `boxworld` of the data folder ($OFFPRINTS_DATA). The authors publish the program and not its levels, so that there is
no address to fetch them from; `sample_levels` draws others of the same distribution anywhere.
"""

from __future__ import annotations

from offprints.data import DataFile, Dataset
from offprints.errors import InputError

from relational_rl.boxworld.levels import Levels, load_levels
from relational_rl.boxworld.spec import BoxWorldSpec

FIXED = Dataset(
    name="boxworld",
    title="4,000 levels of Box-World by its authors' generator",
    licence="Apache-2.0",
    citation="Zambaldi et al. 2018; the generator of their program, seeds 1 to 6",
    files=tuple(
        DataFile(f"{name}.npz", sha256=digest)
        for name, digest in (
            ("branch1", "0e4c94bb8e8c611138ad51b345361ea23dd33dae9a58c7a2ee9ef821485a9f72"),
            ("branch3", "987e31ab6a6038fa2104130b30d303daadc7baba384df56daf4ced83703efbd4"),
            ("backward", "b4fb675e5beeddc235a266a0b92ce0a691d67080200d2c38b85b21417cc2ef59"),
            ("length6", "99878d3299c6c8773cb4c10f1943a07ca38e71d59dfe6c081c0d34eb61d08401"),
            ("length8", "018b828167c9ef5e38d5e5d80bf944d5657fa36809b29043fc4a0dd1a93a12b7"),
            ("length10", "60c10ce4607a690363e41c436f4108c2ee4e0b45ab214054fc9b86eb84032b9b"),
        )
    ),
)
STEPS = 120
"""Limit for solutions of up to four boxes."""
STEPS_PER_BOX = 30
"""Steps more for each further box; the paper names no limit, and 120 cuts off long solutions that are right so far."""


def fixed_levels(name: str) -> tuple[BoxWorldSpec, Levels, str]:
    """One of the fixed sets.

    Args:
        name: branch1, branch3, backward, length6, length8 or length10.

    Returns:
        The spec to play them by, with 120 steps and 30 more for each box beyond four; the levels; the file's checksum.

    Raises:
        InputError: there is no such set.
        DataError: the files are not there, or are not those declared here.
    """
    names = [file.name.removesuffix(".npz") for file in FIXED.files]
    if name not in names:
        raise InputError(f"there are no fixed levels {name!r}: {', '.join(names)}")
    digest = FIXED.verify()[f"{name}.npz"]
    levels = load_levels(FIXED.locate()[f"{name}.npz"])
    beyond = max(0, int(levels.solution_length.max()) - 4)
    return BoxWorldSpec(max_steps=STEPS + STEPS_PER_BOX * beyond), levels, digest
