from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mutations.test_packs import light

pytestmark = pytest.mark.mutations


def test_the_portrait_of_any_damaged_compiled_file_is_lit(
    count: Callable[[int], int], seed: int, tmp_path: Path
) -> None:
    met = light("compiled", count(2000), seed, tmp_path)
    assert met.total() == count(2000)
    assert any("while" in how for how in met) and any("before" in how for how in met)
