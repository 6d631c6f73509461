from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mutations.test_packs import light

pytestmark = pytest.mark.mutations


def test_whatever_is_wrong_with_a_compiled_file_its_portrait_is_lit(
    count: Callable[[int], int], seed: int, tmp_path: Path
) -> None:
    met = light("compiled", count(2000), seed, tmp_path)
    assert met.total() == count(2000)
    assert any("while" in how for how in met) and any("before" in how for how in met)
