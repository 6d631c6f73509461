"""How many mutations are tried, and with which seed: the same ones in every run.

`MONA_LISA_MUTATIONS` is a factor for every number, 1 if unset; `MONA_LISA_SEED` chooses other mutations.
"""

import os
from collections.abc import Callable

import pytest


@pytest.fixture
def count() -> Callable[[int], int]:
    """Scale a full run's number of mutations; at least one is left."""
    scale = float(os.environ.get("MONA_LISA_MUTATIONS", "1"))
    return lambda full: max(1, round(scale * full))


@pytest.fixture
def seed() -> int:
    """Return the seed of every mutation; pytest shows it where a test fails."""
    chosen = int(os.environ.get("MONA_LISA_SEED", "16"))
    print(f"MONA_LISA_SEED={chosen}")  # noqa: T201  (where a test fails, pytest shows it)
    return chosen
