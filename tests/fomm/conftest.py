"""Where PyTorch or PyAV are missing, only the tests that do without are collected."""

from pathlib import Path

import pytest

from appliance import fomm
from appliance.errors import NoExtra

try:
    fomm.check("torch", "av")
except NoExtra:
    collect_ignore_glob = ["test_*.py"]

    def pytest_ignore_collect(collection_path: Path) -> bool | None:
        return False if collection_path.name == "test_without_torch.py" else None


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of 60 pictures in which the bundled sitter looks to picture left, to the right and back."""
    from appliance.bench.fomm import frames_of_the_sitter, there_and_back, write_driving_film

    shown = frames_of_the_sitter()
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_driving_film(path, [shown[i] for i in there_and_back()])
