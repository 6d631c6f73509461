"""The camera's picture on the framed screen: turned, mirrored, with lines and labels in their places."""

import functools
from pathlib import Path

import numpy as np
import pygame
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.camera.sampling import Pixels
from appliance.config import DisplayConfig
from appliance.display.calibration_overlay import (
    AimScreen,
    CameraPicturePlacement,
    Mark,
    draw_text_plate,
    place_camera,
    place_labels,
)
from appliance.display.layout import ScreenLayout

TEXT = [("Highest eyes 1.87 at 1 m, 2.23 at 2 m", "white"), ("Fits: both in view from 1 m", "lime")]
rotations = st.sampled_from((0, 90, 180, 270))


def upright(rotation: int) -> Pixels:
    """What is on the screen, seen upright."""
    surface = pygame.display.get_surface()
    pixels = np.frombuffer(pygame.image.tostring(surface, "RGB"), np.uint8)
    width, height = surface.get_size()
    return np.rot90(pixels.reshape(height, width, 3), rotation // 90)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("flipped", [True, False], ids=["mirror", "plain"])
def test_the_picture_stands_upright_like_a_mirror(tmp_path: Path, rotation: int, flipped: bool) -> None:
    size = (400, 300) if rotation % 180 else (300, 400)
    picture = np.full((90, 160, 3), 60, np.uint8)
    picture[10:30, 20:50] = (250, 10, 10)  # above, at picture left
    line = Mark([(0.0, 70.0), (160.0, 70.0)], "", "yellow", "left", 70.0)
    screen = DisplayConfig(f"offscreen:{tmp_path}", *size, rotation=rotation)
    with AimScreen(screen) as aim:
        aim.show_camera(picture, [line], TEXT, flipped)
        shown = upright(rotation)
    red = np.argwhere((shown[..., 0] > 200) & (shown[..., 1] < 60))
    (row, column), scale = red.mean(0), 300 / 160
    assert abs(column - scale * (160 - 35 if flipped else 35)) < 2
    yellow = np.argwhere((shown[..., 0] > 200) & (shown[..., 1] > 200) & (shown[..., 2] < 60))
    assert yellow[:, 1].min() < 40 and yellow[:, 1].max() == 299, "from edge to edge"
    assert abs(np.median(yellow[:, 0]) - row - scale * 50) < 3
    assert not list(tmp_path.glob("*.png")), "no picture is recorded"


@given(
    rotations,
    st.booleans(),
    st.tuples(st.integers(64, 4000), st.integers(64, 4000)),
    st.tuples(st.integers(64, 4608), st.integers(64, 2592)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_every_point_of_the_picture_is_on_the_screen(
    rotation: int, flipped: bool, screen: tuple[int, int], picture: tuple[int, int], at: tuple[float, float]
) -> None:
    layout = ScreenLayout(screen, rotation)
    place = place_camera(layout, picture, 20, 40, flipped)
    x, y = at[0] * picture[0], at[1] * picture[1]
    right, down = place.on_screen(x, y)
    assert 0 <= right <= screen[0] and 0 <= down <= screen[1]
    # The screen's own axes, for eyes that look at it as it hangs.
    a, b = place.on_screen(0, y), place.on_screen(picture[0], y)
    axis = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[rotation]
    along = (b[0] - a[0]) * axis[0] + (b[1] - a[1]) * axis[1]
    assert along == (-1 if flipped else 1) * (place.box[2] - place.box[0])


heights = st.floats(-500, 900) | st.sampled_from((float("inf"), float("-inf")))
faces = st.lists(st.tuples(st.floats(0, 600), st.floats(0, 330), st.floats(5, 150)), max_size=4)


@example(0.0, 0.0, 295.0, float("inf"), [], False)
@given(heights, heights, heights, heights, faces, st.booleans())
def test_labels_neither_overlap_nor_are_cut_off(
    child_1: float,
    tall_1: float,
    child_2: float,
    tall_2: float,
    boxes: list[tuple[float, float, float]],
    flipped: bool,
) -> None:
    place = CameraPicturePlacement(ScreenLayout((1080, 1920)), (640, 360), (0, 500, 1080, 1107), flipped)
    marks = [
        Mark([], "child 1 m out", "yellow", "left", child_1),
        Mark([], "tall 1 m", "yellow", "left", tall_1),
        Mark([], "child 2 m out", "cyan", "right", child_2),
        Mark([], "tall 2 m", "cyan", "right", tall_2),
    ]
    marks += [
        Mark([(x, y), (x + side, y), (x + side, y + side), (x, y + side)], "1.8 m", "lime", "face")
        for x, y, side in boxes
    ]
    placed = place_labels(marks, place, functools.partial(draw_text_plate, width=1080))
    rects = [box for _, box in placed]
    assert len(rects) >= 4, "those of the lines always find room"
    for i, rect in enumerate(rects):
        assert pygame.Rect(0, 500, 1080, 607).contains(rect)
        assert rect.collidelist(rects[:i]) < 0


@pytest.mark.parametrize("size", [(64, 64), (320, 240), (480, 800), (3840, 2160)], ids=str)
def test_any_screen_shows_the_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = np.full((90, 160, 3), 200, np.uint8)
    far = Mark([(-1e5, -1e5), (1e5, 1e5)], "tall 1 m", "yellow", "left", -1e5)
    with AimScreen(DisplayConfig(f"offscreen:{tmp_path}", *size)) as aim:
        aim.show_camera(picture, [far], TEXT, True)
        aim.tick(1e9, 0.0)
        assert (upright(0) == 200).any()


def test_closing_the_window_ends_aim(tmp_path: Path) -> None:
    closed: list[bool] = []
    with AimScreen(DisplayConfig(f"offscreen:{tmp_path}", 90, 160), lambda: closed.append(True)) as aim:
        aim.show_camera(np.zeros((90, 160, 3), np.uint8), [], TEXT, True)
        assert not closed
        pygame.event.post(pygame.event.Event(pygame.QUIT))
        aim.show_camera(np.zeros((90, 160, 3), np.uint8), [], TEXT, True)
    assert closed
