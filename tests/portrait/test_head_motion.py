"""The head's turn and nod on drawn meshes: nothing folds, the background stands still."""

import functools
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.assets import home_folder
from appliance.errors import BadPack
from appliance.images import read_pixels
from appliance.pack import Pack
from appliance.portrait.evaluate import evaluate_pack
from appliance.portrait.head_motion import _RIDGE, HeadMotion, build_head_motion
from appliance.portrait.landmarks import FaceLandmarks
from appliance.portrait.painting_to_pack import render
from appliance.portrait.prepared_sitters import PreparedSitter, RequestedMotion
from appliance.portrait.sampling import Array, Mask
from tests.portrait import synthetic_head as drawn
from tests.portrait.company import prepared

PAINTING = home_folder() / "frames" / "sconosciuta.png"


@pytest.fixture(scope="module")
def sitter() -> PreparedSitter:
    return prepared(read_pixels(PAINTING), RequestedMotion(33))


def test_a_head_that_does_not_turn_is_where_it_was(sitter: PreparedSitter) -> None:
    for there, here in zip(sitter.head.source_nodes(0.0), sitter.head.nodes(), strict=True):
        assert np.array_equal(there, here)


def test_the_noses_ridge_runs_down_the_middle_of_the_face() -> None:
    ridge = drawn.sitter().mesh[list(_RIDGE)]
    assert np.abs(ridge[:, 0] - drawn.MIDDLE[0]).max() < 0.01 * drawn.HALF
    assert (np.diff(ridge[:, 1]) > 0).all()


def left_after_inverting(head: HeadMotion, turn: float, nod: float) -> float:
    """How far from the nodes their content lands, in pixels."""
    x, y = head.source_nodes(turn, nod)
    right, down = head.picture_shifts(x, y, turn, nod)
    here = head.nodes()
    return max(float(np.abs(x + right - here[0]).max()), float(np.abs(y + down - here[1]).max()))


@pytest.mark.parametrize("turn", [-8.0, -3.0, 3.0, 8.0])
@pytest.mark.parametrize("nod", [-6.0, 0.0, 6.0])
def test_the_turn_is_inverted_to_a_twentieth_of_a_pixel(
    sitter: PreparedSitter, turn: float, nod: float
) -> None:
    assert left_after_inverting(sitter.head, turn, nod) < 0.05


def test_the_nose_turns_with_the_head_and_the_outline_stays(sitter: PreparedSitter) -> None:
    nose, sides = sitter.face.mesh[1], sitter.face.mesh[[127, 234, 93, 356, 454, 323]]
    assert float(sitter.head.displacement(nose[0], nose[1], 8.0).along) > 0.1 * sitter.face.half_width
    assert np.abs(sitter.head.displacement(sides[:, 0], sides[:, 1], 8.0).along).max() < 2.0
    assert not sitter.head.depth[[0, -1]].any()
    assert not sitter.head.depth[:, [0, -1]].any()


def test_a_head_stops_where_a_neighbour_begins_without_a_fold(sitter: PreparedSitter) -> None:
    border = sitter.face.mesh[:, 0].max() - 10

    def beyond(x: Array, y: Array) -> Mask:
        there: Mask = x > border
        return there

    height, width = sitter.pixels.shape[:2]
    head = build_head_motion(sitter.face, width, height, beyond)
    x, _ = head.nodes()
    for field, alone in ((head.depth, sitter.head.depth), (head.rise, sitter.head.rise)):
        assert not field[x > border - head.step].any()
        assert field.max() > 0.8 * alone.max()
    assert min(head.least_jacobian(12.0), head.least_jacobian(-12.0)) >= 0.5
    assert head.highest_nod(8.0) >= 6.0


def test_nothing_is_squeezed_to_less_than_half(sitter: PreparedSitter) -> None:
    assert min(sitter.head.least_jacobian(12.0), sitter.head.least_jacobian(-12.0)) >= 0.5
    assert sitter.head.widest_turn() >= 12.0


VIEWS = [(yaw, tilt) for yaw in (-25.0, -15.0, 0.0, 15.0, 25.0) for tilt in (0.0, 14.0)]


@functools.cache
def head_of(
    yaw: float, tilt: float, middle: tuple[float, float] = drawn.MIDDLE
) -> tuple[FaceLandmarks, HeadMotion]:
    face = drawn.sitter(yaw, tilt, middle)
    return face, build_head_motion(face, *drawn.SIZE)


def way(head: HeadMotion, face: FaceLandmarks, point: int, turn: float = 8.0) -> float:
    """How far a mesh point moves, in half faces."""
    x, y = face.mesh[point, :2]
    return float(head.displacement(x, y, turn).along) / face.half_width


def around(face: FaceLandmarks, angles: drawn.Points, out: drawn.Points) -> tuple[drawn.Points, drawn.Points]:
    """Points at `out` times the outline, in directions clockwise from along the face."""
    ways = np.stack([np.cos(angles + face.tilt), np.sin(angles + face.tilt)])
    farthest = ((face.mesh[:, :2] - drawn.MIDDLE) @ ways).max(0)
    x, y = np.array(drawn.MIDDLE)[:, None] + ways * farthest * out
    return x, y


@pytest.mark.parametrize(("yaw", "tilt"), VIEWS)
def test_a_turn_of_twelve_degrees_folds_no_face(yaw: float, tilt: float) -> None:
    _, head = head_of(yaw, tilt)
    assert min(head.least_jacobian(12.0), head.least_jacobian(-12.0)) >= 0.5
    assert head.widest_turn() >= 12.0


@pytest.mark.parametrize(("yaw", "tilt"), VIEWS)
@pytest.mark.parametrize("turn", [-8.0, 8.0])
def test_each_eye_keeps_its_width_when_the_head_turns(yaw: float, tilt: float, turn: float) -> None:
    face, head = head_of(yaw, tilt)
    for eye in face.eyes:
        corners = eye.lower[[0, -1]]
        first, second = head.displacement(corners[:, 0], corners[:, 1], turn).along
        assert 0.92 < 1 + (second - first) / eye.width < 1.08


@pytest.mark.parametrize(("yaw", "tilt"), VIEWS)
def test_hairline_and_chin_go_with_the_head(yaw: float, tilt: float) -> None:
    face, head = head_of(yaw, tilt)
    bridge = way(head, face, drawn.BRIDGE)
    # As rigid points they would go 0.85 of the bridge's way; the background above must stay.
    assert way(head, face, drawn.HAIRLINE) > 0.5 * bridge
    assert way(head, face, drawn.FOREHEAD) > 0.8 * bridge
    assert way(head, face, drawn.CHIN) > 0.6 * bridge


@pytest.mark.parametrize(("yaw", "tilt"), [*VIEWS, (-30.0, 0.0), (30.0, 0.0)])
def test_the_nose_does_not_bend_when_the_head_turns(yaw: float, tilt: float) -> None:
    face, head = head_of(yaw, tilt)
    bridge, tip, lip = (way(head, face, point) for point in (drawn.BRIDGE, drawn.TIP, drawn.LIP))
    if abs(yaw) < 20:
        assert tip > lip > 0 and tip > bridge > 0
    else:  # near the outline the tip cannot go farther than the rest of the nose
        assert tip > 0.9 * max(bridge, lip)


@pytest.mark.parametrize(("yaw", "tilt"), VIEWS)
def test_the_background_stands_still_when_the_head_turns(yaw: float, tilt: float) -> None:
    face, head = head_of(yaw, tilt)
    angle = np.radians(np.r_[-180:35:5, 145:180:5])
    out = 1.16 + 0.14 * np.clip(-np.sin(angle), 0, 1)  # from the sides to above the hair
    x, y = around(face, angle, out)
    assert np.abs(head.displacement(x, y, 8.0).along).max() < 1.0


@pytest.mark.parametrize(("yaw", "tilt"), VIEWS)
@pytest.mark.parametrize("turn", [-8.0, 8.0])
def test_the_outline_of_the_face_shifts_less_than_a_pixel(yaw: float, tilt: float, turn: float) -> None:
    face, head = head_of(yaw, tilt)
    angles = np.radians([-30, -15, 0, 15, 30, 40, 50, 130, 140, 150, 165, 180, 195, 210])
    x, y = around(face, angles, np.ones(len(angles)))
    # Only a shift across the outline is seen; one along it is not.
    assert np.abs(head.displacement(x, y, turn).along * np.cos(angles)).max() < 1.0


@pytest.mark.parametrize(("yaw", "tilt"), VIEWS)
def test_the_background_above_stands_still_when_the_head_nods(yaw: float, tilt: float) -> None:
    face, head = head_of(yaw, tilt)
    angles = np.radians(np.r_[-120:-59:5])
    x, y = around(face, angles, np.full(len(angles), 1.3))
    assert np.abs(head.displacement(x, y, 0.0, 6.0).down).max() < 1.0


@pytest.mark.parametrize("middle", [(160.0, 260.0), (930.0, 800.0), (540.0, 1700.0)])
def test_a_face_at_the_pictures_edge_moves_nothing_there(middle: tuple[float, float]) -> None:
    _, head = head_of(0.0, 14.0, middle)
    x0, y0, x1, y1 = head.box
    assert 0 <= x0 < x1 <= drawn.SIZE[0] and 0 <= y0 < y1 <= drawn.SIZE[1]
    for field in (head.depth, head.rise):
        assert not field[[0, -1]].any()
        assert not field[:, [0, -1]].any()
    assert min(head.least_jacobian(8.0), head.least_jacobian(-8.0)) > 0.5


def test_a_face_that_fills_the_picture_does_not_turn() -> None:
    head = build_head_motion(drawn.sitter(middle=(30.0, 40.0)), 60, 80)
    assert not head.depth.any()
    assert not head.rise.any()
    assert head.least_jacobian(12.0, 6.0) == 1


@pytest.mark.parametrize("turn", [-12.0, 12.0])
def test_the_widest_turn_is_inverted_to_a_twentieth_of_a_pixel(turn: float) -> None:
    _, head = head_of(15.0, 14.0)
    assert left_after_inverting(head, turn, 0.0) < 0.05


POSES = [(float(turn), float(nod)) for turn in range(-8, 9, 4) for nod in range(-6, 7, 3)]


@pytest.mark.parametrize(("yaw", "tilt"), VIEWS)
def test_turn_and_nod_together_fold_no_face(yaw: float, tilt: float) -> None:
    _, head = head_of(yaw, tilt)
    assert min(head.least_jacobian(turn, nod) for turn, nod in POSES) >= 0.5
    assert head.highest_nod(8.0) >= 6.0


@pytest.mark.parametrize("turn", [0.0, 5.0, 8.0])
def test_the_highest_nod_is_the_last_that_folds_nothing(turn: float) -> None:
    _, head = head_of(15.0, 14.0)
    highest = head.highest_nod(turn)
    ways = [(t, side) for t in (-turn, 0.0, turn) for side in (-1, 1)]
    assert min(head.least_jacobian(t, side * highest) for t, side in ways) == pytest.approx(0.5)


@pytest.mark.parametrize(("deeper", "least"), [(1.0, 12.0), (3.0, 4.0), (8.0, 1.0)])
def test_the_widest_turn_is_the_last_that_folds_nothing(deeper: float, least: float) -> None:
    """A head as steep as the engine makes them, and steeper ones."""
    _, found = head_of(15.0, 14.0)
    head = replace(found, depth=deeper * found.depth)
    widest = head.widest_turn()
    assert widest >= least
    assert min(head.least_jacobian(widest), head.least_jacobian(-widest)) == pytest.approx(0.5)


@pytest.mark.parametrize("turn", [-8.0, 0.0, 5.0])
def test_a_level_head_is_where_it_was_before_heads_could_nod(turn: float) -> None:
    face, head = head_of(15.0, 14.0)
    x, y = face.mesh[:, 0], face.mesh[:, 1]
    level = head.displacement(x, y, turn, 0.0)
    assert not level.down.any()
    assert np.array_equal(level.along, head.displacement(x, y, turn, 6.0).along)
    no_nod = replace(head, rise=np.zeros_like(head.rise))
    for with_rise, without in zip(head.source_nodes(turn), no_nod.source_nodes(turn), strict=True):
        assert np.array_equal(with_rise, without)


@pytest.mark.parametrize(("yaw", "tilt"), VIEWS)
@pytest.mark.parametrize("nod", [-6.0, 6.0])
def test_each_eye_keeps_its_shape_when_the_head_nods(yaw: float, tilt: float, nod: float) -> None:
    face, head = head_of(yaw, tilt)
    for eye in face.eyes:
        left, right = eye.lower[[0, -1]]
        middle, across = (left + right) / 2, right - left
        down = np.array([-across[1], across[0]]) * 0.2  # half an open eye's height
        around = np.stack([left, right, middle - down, middle + down])
        moves = head.displacement(around[:, 0], around[:, 1], 0.0, nod)
        assert not moves.along.any()
        assert abs(moves.down[3] - moves.down[2]) < 0.02 * eye.width
        assert abs(moves.down[1] - moves.down[0]) < 0.08 * eye.width


@pytest.mark.parametrize(("yaw", "tilt"), VIEWS)
def test_the_face_rises_and_its_sides_stay_when_looking_up(yaw: float, tilt: float) -> None:
    face, head = head_of(yaw, tilt)

    def up(point: int) -> float:
        x, y = face.mesh[point, :2]
        return -float(head.displacement(x, y, 0.0, 6.0).down) / face.half_width

    # A rigid head's chin and bridge rise by the sine of 6 degrees times about one half face.
    chin, lip, bridge = (up(point) for point in (drawn.CHIN, drawn.LIP, drawn.BRIDGE))
    assert 0.05 < chin < lip < 0.14
    assert 0.05 < bridge < up(drawn.TIP) < 0.16
    assert 0 < up(drawn.HAIRLINE) < up(drawn.FOREHEAD) < 0.14
    angles = np.radians([-30, -15, 0, 15, 150, 165, 180, 195])
    x, y = around(face, angles, np.ones(8))
    assert np.abs(head.displacement(x, y, 0.0, 6.0).down).max() < 0.01 * face.half_width


@pytest.mark.parametrize(("yaw", "tilt"), VIEWS)
def test_a_head_moves_only_within_its_reach(yaw: float, tilt: float) -> None:
    _, head = head_of(yaw, tilt)
    y, x = np.mgrid[0 : drawn.SIZE[1] : 3, 0 : drawn.SIZE[0] : 3].astype(float)
    for turn, nod in ((8.0, 0.0), (0.0, 6.0), (8.0, 6.0)):
        x0, y0, x1, y1 = head.moving_box(bool(turn), bool(nod))
        right, down = head.picture_shifts(x, y, turn, nod)
        moves = (right != 0) | (down != 0)
        assert moves.any()
        assert not (moves & ((x <= x0) | (x >= x1) | (y <= y0) | (y >= y1))).any()


def test_angles_rise_in_equal_steps_through_zero_at_rest(sitter: PreparedSitter) -> None:
    plan = sitter.plan
    assert plan.angles[plan.resting_column] == 0
    assert np.ptp(np.diff(plan.angles)) < 1e-9
    assert plan.angles[0] == pytest.approx(-plan.angles[-1])
    assert 7 < plan.turns[-1] <= 8 + 1e-9  # less of it where an eye's room is found a little smaller
    assert (np.diff(plan.shifts, axis=0) > 0).all()
    assert not plan.shifts[plan.resting_column].any()


def test_both_eyes_meet_on_a_viewer_who_is_near(sitter: PreparedSitter) -> None:
    near = prepared(sitter.pixels, RequestedMotion(33, distance_mm=400)).plan.shifts
    far = prepared(sitter.pixels, RequestedMotion(33, distance_mm=1e6)).plan.shifts
    # Off to a side a viewer is farther from both eyes' line: they turn towards each other less.
    assert (near - far)[0, 0] < 0 < (near - far)[0, 1]


def test_the_bundled_painting_measures_as_promised(tmp_path: Path) -> None:
    render(PAINTING, tmp_path / "pack", 9, rows=1)
    found = evaluate_pack(tmp_path / "pack", render_again=False)
    assert found["neutral_exact"]
    assert found["changed_outside"] == found["changed_on_border"] == 0
    assert min(found["iris_travel_percent"]) > 24
    assert max(found["iris_off_plan"]) < 0.1
    assert found["iris_back_steps"] == [0, 0]
    assert min(found["iris_model_rank"]) >= 0.99
    assert found["nose_back_steps"] == 0
    # Two thirds of this smooth picture's detail are the rims of its irises, and a moved rim has no grain of its own.
    assert found["detail_kept_median"] >= 0.92
    assert found["detail_kept_min"] >= 0.85
    assert found["jump_ratio"] <= 1.2
    assert found["min_jacobian"] >= 0.5
    assert found["background_shift_px"] < 1
    # An eye's room is found to a hundredth of its width, which not every processor finds alike.
    yaw = Pack(tmp_path / "pack").info.settings["yaw"]
    assert isinstance(yaw, float) and 7 < yaw <= 8


@pytest.mark.parametrize("line", ['yaw = "wide"', "yaw = nan", "distance_mm = 0", "eyes = 1e999"])
def test_impossible_settings_of_a_pack_are_refused(tmp_path: Path, line: str) -> None:
    pack = Pack(home_folder() / "frames" / "sconosciuta").folder
    shutil.copytree(pack, tmp_path / "pack")
    text = (pack / "pack.toml").read_text("utf-8")
    key = line.split(" ")[0]
    (tmp_path / "pack" / "pack.toml").write_text(re.sub(rf"(?m)^{key} = .*$", line, text, count=1), "utf-8")
    assert line in (tmp_path / "pack" / "pack.toml").read_text("utf-8")
    with pytest.raises(BadPack, match=rf"pack\.toml: {key} = .*; expected [\d.]+ to [\d,.]+$"):
        evaluate_pack(tmp_path / "pack", render_again=False)
