"""The import of pysc2 4.0, the last release, and what it needs under a Python and a protobuf that are newer than it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from offprints.errors import InputError

from relational_rl.sc2.protocol import build_protocol_modules

_EXTRA = "python -m pip install 'offprints-relational-rl[sc2]'"


class StarCraftUnavailable(InputError):
    """pysc2, or the game itself, is not there or does not work; the message says what to do."""


@dataclass(frozen=True)
class Modules:
    """The parts of pysc2 that are used; it has no types.

    Attributes:
        actions: pysc2.lib.actions.
        features: pysc2.lib.features.
        maps: pysc2.maps.
        mock: pysc2.env.mock_sc2_env.
        sc2_env: pysc2.env.sc2_env.
        run_configs: pysc2.run_configs.
    """

    actions: Any
    features: Any
    maps: Any
    mock: Any
    sc2_env: Any
    run_configs: Any


@lru_cache(maxsize=1)
def load_pysc2() -> Modules:
    """Import pysc2.

    Raises:
        StarCraftUnavailable: it is not installed, or cannot be imported with the libraries beside it.
    """
    try:
        build_protocol_modules()
        with _shuffle_with_two_arguments():
            from pysc2 import maps, run_configs
            from pysc2.env import mock_sc2_env, sc2_env
            from pysc2.lib import actions, features
    except ImportError as error:
        raise StarCraftUnavailable(
            f"StarCraft II needs pysc2, and it cannot be imported ({error}): {_EXTRA}"
        ) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise StarCraftUnavailable(
            f"pysc2 does not work with the libraries beside it ({type(error).__name__}: {error}); versions that do come with: {_EXTRA}"
        ) from error
    return Modules(actions, features, maps, mock_sc2_env, sc2_env, run_configs)


@contextmanager
def _shuffle_with_two_arguments() -> Iterator[None]:
    """random.shuffle(x, random) as it was before Python 3.11: pysc2 orders its palettes by it while it is imported."""
    plain = random.shuffle

    def shuffle(x: MutableSequence[Any], draw: Callable[[], float] = random.random) -> None:
        for place in reversed(range(1, len(x))):
            other = math.floor(draw() * (place + 1))
            x[place], x[other] = x[other], x[place]

    random.shuffle = shuffle
    try:
        yield
    finally:
        random.shuffle = plain
