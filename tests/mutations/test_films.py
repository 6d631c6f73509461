"""500 damaged films, judged as `fomm check-driving` judges them."""

import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.mutations.batches import faults
from tests.mutations.mutate import boxes, by_bytes

pytest.importorskip("av", reason="films are read where the extra [fomm] is installed")
pytestmark = pytest.mark.mutations


def films(folder: Path) -> list[tuple[str, bytes]]:
    """Short whole films of every kind, as suffix and content; in one there is a face."""
    from appliance.bench.fomm import frames_of_the_sitter, there_and_back, write_driving_film

    noise = np.random.default_rng(1).integers(0, 256, (5, 24, 32, 3), np.uint8)
    plain = [Image.fromarray(pixels).resize((96, 64)) for pixels in noise]
    sitter = [frames_of_the_sitter()[i].resize((240, 240)) for i in there_and_back(12)]
    made = [
        (path.suffix[1:], path.read_bytes())
        for path in (
            write_driving_film(folder / "sitter.mp4", sitter),
            write_driving_film(folder / "plain.mov", plain, rotation=90),
            write_driving_film(folder / "plain.mkv", plain),
            write_driving_film(folder / "plain.avi", plain),
        )
    ]
    for kind in ("GIF", "WEBP"):
        buffer = io.BytesIO()
        plain[0].save(buffer, kind, save_all=True, append_images=plain[1:], duration=40)
        made.append((kind.lower(), buffer.getvalue()))
    return made


def test_a_damaged_film_is_judged_or_refused_in_one_line(
    tmp_path: Path, count: Callable[[int], int], seed: int
) -> None:
    rng, whole, files = random.Random(seed), films(tmp_path), []
    for number in range(count(500)):
        suffix, data = whole[number % len(whole)]
        files.append(tmp_path / f"{number:03d}.{suffix}")
        files[-1].write_bytes(rng.choice((boxes, by_bytes))(data, rng))
    assert faults("film", files) == []
