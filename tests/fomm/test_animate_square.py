import numpy as np
import pytest
from PIL import Image

from appliance.fomm.animate import head_square, read_square
from appliance.portrait.foreign_blend import FineDetail, HeadSquare

FACE = np.array([[100.0, 100.0], [180.0, 100.0], [100.0, 200.0], [180.0, 200.0]])


def test_the_square_holds_face_and_hair_with_air_around() -> None:
    place = head_square(FACE[None], (400, 400))
    assert place.side == 190  # 1.9 times the face's height
    assert place.x + place.side / 2 == pytest.approx(140, abs=1)
    assert place.y + place.side / 2 == pytest.approx(150 - 0.04 * 190, abs=1)


def test_the_square_stays_in_the_picture() -> None:
    assert head_square(FACE[None] - 90.0, (400, 400))[:2] == (0, 0)
    assert head_square(FACE[None], (195, 240)) == (5, 47, 190)
    assert head_square(FACE[None], (182, 240)).side == 182


def test_a_head_that_moves_has_room_in_every_picture() -> None:
    meshes = np.array([FACE, np.add(FACE, (120, 0))])
    place = head_square(meshes, (400, 400))
    assert place.side == 240
    assert place.x < 100
    assert place.x + place.side > 300


def test_a_larger_square_is_averaged() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, ::2] = 255  # finer than the result can show
    square = read_square(pixels, HeadSquare(0, 0, 64), 16)
    assert square.shape == (16, 16, 3)
    assert square.dtype == np.float32
    assert np.abs(square[:, 2:-2] - 0.5).max() < 0.02


def test_a_model_that_repeats_its_input_gives_the_painting_back() -> None:
    painting = np.random.default_rng(7).integers(80, 180, (300, 200, 3)).astype(np.uint8)
    place = HeadSquare(20, 60, 160)
    square = painting[60:220, 20:180]
    given = np.rint(read_square(painting, place, 64) * 255).astype(np.uint8)
    frame = np.asarray(Image.fromarray(given).resize((160, 160), Image.Resampling.LANCZOS))
    mesh = np.random.default_rng(8).uniform(40, 120, (468, 2))
    restored = FineDetail(square, mesh, [], 64).restore_by_landmarks(frame, mesh, 1.0)
    # At the border the model is given what lies beyond it, too.
    assert np.abs(restored.astype(int) - square)[8:-8, 8:-8].max() <= 1
