"""Three sitters of one picture, two of them cheek to cheek, and visitors who walk by: from camera to screen."""

import json
import math
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from appliance.bench.gaze_methods import direction_of
from appliance.config import CameraConfig, Config, DisplayConfig
from appliance.display.layout import sitter_offsets_mm
from appliance.display.open_display import pygame
from appliance.display.screen import PortraitScreen
from appliance.gallery.camera import GalleryCamera
from appliance.gallery.walks import VisitorState
from appliance.gaze.pictures_to_target import GazeController
from appliance.gaze.target_to_frames import frames_for
from appliance.pack import FrameGrid, Pack
from appliance.portrait.painting_to_pack import render
from tests.conftest import composed
from tests.portrait import company
from tests.portrait.odd import closed
from tests.service.running import Stepped

# Somebody as tall as the sitters walks by and stands, then a child does.
WALK = """
title = "Two walk by"
duration = 12.0

[[person]]
who = "grown-up"
photograph = "grace_hopper.jpg"
keys = [
  { time = 0.0, x_mm = -1500, z_mm = 2000 },
  { time = 3.5, x_mm = 400, z_mm = 2000 },
  { time = 6.0, x_mm = 400, z_mm = 2000 },
]

[[person]]
who = "child"
photograph = "astronaut.png"
eye_distance_mm = 52
keys = [
  { time = 7.5, x_mm = 1500, y_mm = 350, z_mm = 2000 },
  { time = 11.5, x_mm = -800, y_mm = 350, z_mm = 2000 },
]
"""
# The lit picture's width in mm: the sitters' eyes are 400 and 900 mm apart.
WIDTH_MM = 1400.0
# Seconds until the eyes are on a viewer who came into view: they are noticed, then glanced at.
COMING = 0.8

Moment = tuple[VisitorState | None, tuple[int, ...], NDArray[np.uint8]]


def rendered(folder: Path, rests: bool = False, frames: int = 9, rows: int = 1) -> Pack:
    """The three as a pack; if one `rests`, the sitter at picture right is asleep."""
    picture = company.three_sitters(closed) if rests else company.three_sitters()
    picture.save(folder / "three.png")
    render(folder / "three.png", folder / "three", frames, rows=rows, choose="all" if rests else None)
    return Pack(folder / "three")


def config_for(folder: Path) -> Config:
    (folder / "walk.toml").write_text(WALK)
    width, height = company.SIZE
    lit = DisplayConfig(f"offscreen:{folder / 'lit'}", width=width, height=height, width_mm=WIDTH_MM)
    return replace(Config(), camera=CameraConfig(source=f"gallery:{folder / 'walk.toml'}"), display=lit)


def walked_by(pack: Pack, folder: Path) -> tuple[list[tuple[float, float]], list[Moment]]:
    """How far the sitters are apart in mm, and for every picture of the walk, in simulated time:

    whom the sitters should look at, None within `COMING` seconds, the frames lit, and what is on the screen.
    """
    config, moments = config_for(folder), []
    controller, stop, came = GazeController(config), threading.Event(), math.inf
    with PortraitScreen(config.display) as screen, GalleryCamera(folder / "walk.toml", pace=False) as camera:
        screen.light(pack)
        screen.load(pack, stop)
        apart = sitter_offsets_mm(pack.info, config.display, screen.size, screen.driver)
        for _ in range(round(camera.walk.duration * 30)):
            picture = camera.newest()
            lit = picture.captured + 0.1
            target = controller.see(picture, camera.horizontal_fov, pack.info, lit, apart)
            frames = frames_for(target, lit, screen.shown, config.tracking, pack.info, apart)
            if frames != screen.shown:
                assert screen.show(frames)
            viewer = camera.followed_at(lit)
            came = min(came, lit) if viewer else math.inf
            pixels = pygame.image.tobytes(pygame.display.get_surface(), "RGB")
            there = np.frombuffer(pixels, np.uint8).reshape(*screen.size[::-1], 3)
            moments.append((viewer if lit > came + COMING else None, frames, there))
    return list(apart), moments


def frames_off(
    viewer: VisitorState, apart: tuple[float, float], grid: FrameGrid, number: int
) -> tuple[float, float]:
    """How many columns and rows a sitter's frame is from the direction of the viewer, within the grid's reach."""
    # The lens is at the first sitter's eyes, and its right is the visitors' left.
    right, up = -viewer.x_mm - apart[0], -viewer.y_mm - apart[1]
    true = (
        math.degrees(math.atan2(right, viewer.z_mm)),
        math.degrees(math.atan2(up, math.hypot(right, viewer.z_mm))),
    )
    step = grid.steps[grid.place(number)[0]]
    off = []
    for wanted, lit, ends in zip(
        true, direction_of(grid, number), (grid.angles, grid.pitches[::-1]), strict=True
    ):
        reached = min(max(wanted, ends[0]), ends[-1])
        spacing = float(np.diff(ends).max()) if len(ends) > 1 else 1.0
        off.append(abs(lit - reached) / spacing)
    return off[0] / step, off[1]


def own(pack: Pack, sitter: int) -> NDArray[np.bool_]:
    """The pixels of the picture that a sitter may change."""
    x0, y0, x1, y1 = pack.info.sitters[sitter].box
    pixels = np.zeros(pack.info.size[::-1], bool)
    pixels[y0:y1, x0:x1] = np.asarray(pack.patch(0, sitter).convert("RGBA"))[..., 3] > 0
    return pixels


def assert_all_converge(pack: Pack, folder: Path) -> list[Moment]:
    """All gazes meet at the visitors' eyes, and only pixels of those who move change."""
    apart, moments = walked_by(pack, folder)
    grids = pack.info.sitters
    followed = [(viewer, frames) for viewer, frames, _ in moments if viewer]
    assert len(followed) > 150
    off = np.array(
        [[frames_off(v, *each) for each in zip(apart, grids, f, strict=True)] for v, f in followed]
    )
    assert off.max(axis=(0, 1)) == pytest.approx([0, 0], abs=1)
    alone = 0
    for (_, before, was), (_, frames, there) in pairwise(moments):
        moved = [sitter for sitter in range(len(grids)) if frames[sitter] != before[sitter]]
        alone += len(moved) == 1
        may = np.any([np.zeros(there.shape[:2], bool), *(own(pack, sitter) for sitter in moved)], axis=0)
        assert not (was != there).any(2)[~may].any()
        assert moved == [] or np.array_equal(there, composed(pack, frames))
    assert alone > 10
    return moments


def test_three_sitters_converge_on_one_who_walks_by(three_sitters: Pack, tmp_path: Path) -> None:
    moments = assert_all_converge(three_sitters, tmp_path)
    # Each turns by its own angle.
    places = {
        tuple(grid.place(n)[1] for grid, n in zip(three_sitters.info.sitters, f, strict=True))
        for _, f, _ in moments
    }
    assert any(len(set(columns)) == 3 for columns in places)


@pytest.mark.slow
def test_three_sitters_look_down_at_a_child_who_walks_by(tmp_path: Path) -> None:
    pack = rendered(tmp_path, frames=17, rows=5)
    moments = assert_all_converge(pack, tmp_path)
    for sitter, grid in enumerate(pack.info.sitters):
        level = {
            grid.place(frames[sitter])[0]
            for viewer, frames, _ in moments
            if viewer and viewer.who == "grown-up"
        }
        down = {
            grid.place(frames[sitter])[0] for viewer, frames, _ in moments if viewer and viewer.who == "child"
        }
        assert min(down) > max(level)


@pytest.mark.slow
def test_one_who_is_asleep_rests_and_the_two_others_converge(tmp_path: Path) -> None:
    pack = rendered(tmp_path, rests=True)
    assert len(pack.info.sitters) == 2
    moments = assert_all_converge(pack, tmp_path)
    assert len({frames for _, frames, _ in moments}) > 8
    rest = np.asarray(pack.base())[:, 480:]
    assert all(np.array_equal(there[:, 480:], rest) for _, _, there in moments)


def test_the_loop_lights_what_the_gaze_of_each_sitter_chose(three_sitters: Pack, tmp_path: Path) -> None:
    config = config_for(tmp_path)
    with Stepped(config, lambda: three_sitters.folder) as steps:
        steps.advance(6.0)
    flips = [json.loads(row)["frame"] for row in (tmp_path / "lit" / "lit.jsonl").read_text().splitlines()]
    assert flips[0] == [grid.rest for grid in three_sitters.info.sitters]
    with GalleryCamera(tmp_path / "walk.toml", pace=False) as camera:
        stands = camera.followed_at(5.0)
    assert stands
    apart = sitter_offsets_mm(three_sitters.info, config.display, company.SIZE, "offscreen")
    for each in zip(apart, three_sitters.info.sitters, flips[-1], strict=True):
        assert max(frames_off(stands, *each)) <= 1
    pictures = list((tmp_path / "lit").glob("frame_*.png"))
    assert len(pictures) > 5
    for path in pictures:
        frames = [int(number) for number in path.stem.split("_")[1:]]
        assert np.array_equal(np.asarray(Image.open(path)), composed(three_sitters, frames))
