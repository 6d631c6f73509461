from pathlib import Path

import pytest
from PIL import Image

from appliance.errors import BadImage
from appliance.portrait import source
from appliance.portrait.source import free_memory, read_original


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(source, "MOST_WHOLE", 10_000)
    Image.new("RGB", (400, 300), "red").save(tmp_path / "large.png")
    return tmp_path / "large.png"


def test_a_large_png_is_refused_on_a_small_machine(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "free_memory", lambda: 500_000)
    with pytest.raises(
        BadImage, match="400x300 pixels as PNG; expected at most 31,250 pixels on this machine"
    ):
        read_original(large, (20, 20))


def test_a_large_png_is_reduced_where_there_is_memory(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "free_memory", lambda: 2_000_000)
    pixels, scale = read_original(large, (20, 20))
    assert pixels.shape == (30, 40, 3) and scale == pytest.approx(0.1)


def test_a_large_jpeg_is_read_on_any_machine(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "free_memory", lambda: 0)
    Image.open(large).save(large.with_suffix(".jpg"))
    assert max(read_original(large.with_suffix(".jpg"), (20, 20))[0].shape) == 40


def test_the_machine_tells_its_memory() -> None:
    assert free_memory() > 50_000_000
