"""One look per picture, wherever it goes; on real pictures of the gallery."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bench.gaze_walks import HOPPER, scene, standing, to_yuv, visitor
from appliance.camera.base import MeanPicture, Picture, RgbPicture, YuvPicture
from appliance.camera.sampling import Floats, Region
from appliance.config import Config, TrackingConfig, VisionConfig
from appliance.gallery.camera import GalleryCamera
from appliance.gallery.walks import RoomSpec, WalkScript
from appliance.gaze.pictures_to_target import GazeController
from appliance.gaze.target_to_frames import GazeTarget
from appliance.pack import PackInfo
from appliance.tracking.search_regions import MotionMap, RoundRobin, crop_side, overlapping_tiles
from appliance.vision.runtime import TfliteModel
from tests.conftest import small_info

PACK: PackInfo = small_info()
# The gallery's figures are photographs, which show no life.
PHOTOGRAPHS = Config(tracking=TrackingConfig(fixture_after=0.0, share=False))


def followed(
    walk: WalkScript, seconds: float, rate: float = 30.0
) -> Iterator[tuple[Picture, GazeTarget, GazeController]]:
    follower = GazeController(PHOTOGRAPHS)
    with GalleryCamera(walk, rate=rate, pace=False) as camera:
        for _ in range(round(seconds * rate)):
            picture = camera.newest()
            yield picture, follower.see(picture, camera.horizontal_fov, PACK), follower


@given(st.integers(64, 1300), st.integers(64, 1300), st.integers(32, 400))
def test_tiles_cover_the_picture_and_overlap(width: int, height: int, side: int) -> None:
    covered = np.zeros((height, width), int)
    for tile in overlapping_tiles(width, height, side):
        assert tile.x0 % 2 == tile.y0 % 2 == 0, "colour is read on whole pixels"
        covered[max(0, int(tile.y0)) : int(tile.y1), max(0, int(tile.x0)) : int(tile.x1)] += 1
    assert covered[: height - 1, : width - 1].min() > 0
    if width > side + 2:
        assert covered.max() > 1


@given(st.floats(5, 300))
def test_a_crop_fits_the_models_input_and_holds_the_face(width: float) -> None:
    side = crop_side(width)
    assert side == 64 or side % 128 == 0
    assert side >= 2.6 * width


def test_every_region_has_its_turn_and_what_moves_comes_sooner() -> None:
    regions = overlapping_tiles(640, 360, 240)
    picture = np.full((360, 640, 3), 90, np.uint8)
    motion, rotation = MotionMap(), RoundRobin(regions)
    motion.update(RgbPicture(picture, 0.0, 0))
    assert {rotation.next(motion) for _ in regions} == set(regions)
    moved = picture.copy()
    moved[100:300, 500:600] = 160
    motion.update(RgbPicture(moved, 0.1, 1))
    assert motion.certain_motion
    turns = [rotation.next(motion) for _ in range(4)]
    assert sum(region.x1 == 640 for region in turns) >= 3


def test_noise_is_no_motion() -> None:
    rng = np.random.default_rng(0)
    motion = MotionMap()
    for i in range(3):
        motion.update(
            RgbPicture(np.clip(rng.normal(90, 8, (360, 640, 3)), 0, 255).astype(np.uint8), i / 30, i)
        )
    assert not motion.certain_motion


@pytest.mark.parametrize("walk", [WalkScript("empty", 9.0, RoomSpec(noise=5)), standing(2.5, 300.0, 9.0)])
def test_no_picture_is_looked_at_more_than_once(walk: WalkScript, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[TfliteModel] = []
    real = TfliteModel.run

    def counted(model: TfliteModel) -> None:
        runs.append(model)
        real(model)

    monkeypatch.setattr(TfliteModel, "run", counted)
    for number, _ in enumerate(followed(walk, 1.5), 1):
        assert len(runs) == number


@pytest.mark.parametrize("right", [-1100.0, 0.0, 700.0])
def test_a_face_at_2_5_metres_is_found_within_a_second(right: float) -> None:
    found = [p.captured for p, target, _ in followed(standing(2.5, right), 1.0) if target.viewer]
    assert found and found[0] < 0.8


def test_a_person_walking_away_to_five_metres_is_kept() -> None:
    walk = WalkScript(
        "away", 4.0, RoomSpec(noise=5), (visitor("one", [(0, 0, 3200), (3, 300, 5000), (4, 300, 5000)]),)
    )
    seen = [target.viewer is not None for p, target, _ in followed(walk, 4.0) if p.captured > 0.7]
    assert np.mean(seen) > 0.97


@pytest.mark.parametrize(("near", "far"), [(1000, 1800), (2000, 3000)])
def test_a_newcomer_farther_back_is_known_while_following(near: float, far: float) -> None:
    stands = visitor("stands", [(0, 300, near), (4, 300, near)])
    comes = visitor("comes", [(1, -far, far), (2.5, 0, far), (4, 0, far)], face=1)
    walk = WalkScript("two", 4.0, RoomSpec(noise=5), (stands, comes))
    seen = [(p.captured, target) for p, target, _ in followed(walk, 3.0)]
    assert next(captured for captured, target in seen if target.visitors == 2) < 2.0
    assert all(target.viewer and target.viewer.x > 320 for captured, target in seen if captured > 0.5)


def test_a_person_standing_still_has_steady_eyes() -> None:
    xs = [
        target.viewer.x
        for p, target, _ in followed(standing(2.0, 200.0), 2.0)
        if p.captured > 0.6 and target.viewer
    ]
    assert np.std(xs) < 0.6


def test_a_yuv_picture_is_never_converted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(picture: YuvPicture) -> None:
        raise AssertionError("the whole picture was converted")

    monkeypatch.setattr(YuvPicture, "to_rgb", forbidden)
    follower = GazeController(Config())
    planes = to_yuv(scene(HOPPER, (640, 360), 0.12, (0.4, 0.5)))
    for i in range(20):
        target = follower.see(YuvPicture(*planes, i / 30, i), 66.0, PACK)
    assert target.viewer is not None
    assert target.viewer.x == pytest.approx(0.4 * 640, abs=4)


@pytest.mark.parametrize("model", ["short", "full"])
def test_either_model_can_search_the_room(model: str) -> None:
    follower = GazeController(Config(vision=VisionConfig(model=model)))
    pixels = scene(HOPPER, (640, 360), 0.05, (0.7, 0.5))
    targets = [follower.see(RgbPicture(pixels, i / 30, i), 66.0, PACK) for i in range(40)]
    assert targets[-1].viewer is not None or targets[-2].viewer is not None


def test_a_region_that_is_not_on_the_picture_does_not_move() -> None:
    assert MotionMap().moving_share_of(Region(5000, 5000, 5100, 5100)) == 0


@pytest.mark.parametrize(("noise", "averaged"), [(1, False), (16, True)])
def test_in_dim_light_a_standing_face_is_averaged(
    noise: float, averaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Region] = []
    real = MeanPicture.read_region

    def counted(picture: MeanPicture, region: Region, out: Floats) -> None:
        reads.append(region)
        real(picture, region, out)

    monkeypatch.setattr(MeanPicture, "read_region", counted)
    stands = visitor("stands", [(0, 0, 1500), (2, 0, 1500)])
    walk = WalkScript("dim", 2.0, RoomSpec(noise=noise), (stands,))
    assert sum(target.viewer is not None for _, target, _ in followed(walk, 1.5)) > 25
    assert (len(reads) > 20) == averaged


@pytest.mark.parametrize(("noise", "averaged"), [(5, 0), (30, 10)])
def test_in_the_dark_every_other_look_at_the_room_is_averaged(
    noise: float, averaged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mean has less noise but blurs walkers, so it is used in every other picture only."""
    reads: list[Region] = []
    real = MeanPicture.read_region

    def counted(picture: MeanPicture, region: Region, out: Floats) -> None:
        reads.append(region)
        real(picture, region, out)

    monkeypatch.setattr(MeanPicture, "read_region", counted)
    for _ in followed(WalkScript("dark", 1.0, RoomSpec(noise=noise), ()), 20 / 30):
        pass
    assert len(reads) == pytest.approx(averaged, abs=2)
