"""Drawn eyes with one fault each: it is measured, and the other measures stay quiet."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from appliance.pack import Box
from appliance.portrait import eye_faults
from appliance.portrait.eye_faults import UncoveredWhite
from appliance.portrait.frame_motions import FrameMotions
from appliance.portrait.head_motion import HeadMotion
from appliance.portrait.prepared_sitters import PreparedSitter
from appliance.portrait.sampling import Array
from tests.portrait import drawn_frames as eye
from tests.portrait import synthetic_head as head
from tests.portrait.synthetic import DrawnEye


def whites(found: list[UncoveredWhite | None]) -> list[UncoveredWhite]:
    return [white for white in found if white]


def test_an_eye_that_moves_cleanly_shows_no_fault() -> None:
    frames = eye.drawn()
    assert max(eye_faults.ghost_rims(frames)) < 4
    assert max(eye_faults.limbus_arcs(frames)) < 4
    assert max(eye_faults.missing_iris_part(frames)) < 0.01
    read = whites(eye_faults.compare_uncovered_white(frames))
    assert len(read) >= 8
    assert all(0.95 < white.light < 1.15 and 0.8 < white.grain < 1.25 for white in read)


def test_an_old_rim_left_behind_is_seen_where_the_iris_has_left() -> None:
    rims = eye_faults.ghost_rims(eye.drawn(eye.ring))
    assert min(rims[0], rims[-1]) > 20
    assert rims[eye.FRAMES // 2] == 0


@pytest.mark.parametrize("found", [eye.RADIUS, 0.75 * eye.RADIUS])
def test_two_irises_in_an_eye_are_seen_if_it_was_found_too_small(found: float) -> None:
    assert max(eye_faults.ghost_rims(eye.drawn(eye.annulus, found=found))) > 30


def test_an_edge_of_another_tint_is_seen_at_equal_brightness() -> None:
    frames = eye.drawn(eye.hard_plate)
    assert max(eye_faults.ghost_rims(frames)) > 15
    assert all(0.9 < white.light < 1.15 for white in whites(eye_faults.compare_uncovered_white(frames)))


def test_uncovered_white_that_is_too_bright_is_seen_either_side() -> None:
    found = eye_faults.compare_uncovered_white(eye.drawn(eye.bright_plate))
    assert found[eye.FRAMES // 2] is None
    for white in (found[0], found[-1]):
        assert white and white.light > 1.25 and white.seen > 1.25


def test_uncovered_white_that_is_too_grainy_is_seen() -> None:
    assert (
        max(white.grain for white in whites(eye_faults.compare_uncovered_white(eye.drawn(eye.grain)))) > 2.5
    )


def test_an_arc_beside_the_moved_iris_is_seen_in_every_frame() -> None:
    arcs = eye_faults.limbus_arcs(eye.drawn(over=eye.arc))
    assert min(arcs[:6]) > 15 and min(arcs[-6:]) > 15


def test_a_straight_cut_that_moves_with_the_iris_is_seen() -> None:
    assert max(eye_faults.missing_iris_part(eye.drawn(over=eye.cut))) > 0.07


def test_a_catch_light_that_becomes_a_ring_is_measured_as_lost() -> None:
    frames = eye.drawn(above=eye.catch_light, over=eye.hollow)
    assert max(np.delete(eye_faults.catch_light_strengths(frames), frames.painted_frame)) < 0.66
    assert min(eye_faults.catch_light_strengths(eye.drawn(above=eye.catch_light))) > 0.9


def test_a_catch_light_half_on_the_white_is_measured_too() -> None:
    frames = eye.drawn(painted=eye.shaded, above=eye.rim_light, over=eye.no_rim_light)
    assert max(np.delete(eye_faults.catch_light_strengths(frames), frames.painted_frame)) < 0.66
    whole = eye_faults.catch_light_strengths(eye.drawn(painted=eye.shaded, above=eye.rim_light))
    assert min(whole) > 0.8 and len(set(whole)) > 1


def test_white_that_an_iris_uncovers_is_no_catch_light() -> None:
    assert set(eye_faults.catch_light_strengths(eye.drawn(found=1.2 * eye.RADIUS))) == {1.0}


def test_an_edge_that_keeps_to_no_circle_is_no_old_rim() -> None:
    assert max(eye_faults.ghost_rims(eye.drawn(eye.short_edge))) < 4


def test_white_that_ends_at_hard_painted_lids_is_no_new_edge() -> None:
    frames = eye.drawn(painted=eye.dark_corner, under=eye.staring_white, skin=eye.DARK_SKIN)
    assert max(eye_faults.new_hard_edges(frames)) < 10
    assert max(eye_faults.new_hard_edges(eye.drawn(over=eye.debris))) > 12


def test_a_shade_going_on_into_uncovered_white_is_no_fault() -> None:
    shaded = whites(eye_faults.compare_uncovered_white(eye.drawn(painted=eye.lid_shadow)))
    assert max(white.light for white in shaded) > 1.5
    assert max(white.seen for white in shaded) < 1.3
    assert (
        max(white.seen for white in whites(eye_faults.compare_uncovered_white(eye.drawn(eye.bright_plate))))
        > 1.28
    )


def test_an_iris_that_slides_over_a_corner_is_measured() -> None:
    painted = DrawnEye(200, 60, 160)
    frames = replace(eye.drawn(), corners=(-0.7, 0.7))  # as the engine found them: too wide
    axes = SimpleNamespace(to_eye=lambda x, y: ((x - 200) / 160, (y - 60) / 160))
    found: Any = SimpleNamespace(view=SimpleNamespace(axes=axes))  # no more of an Eye is read
    assert max(eye_faults.iris_over_corner(frames, found, painted.marks())) == 0
    far = replace(frames, shifts=frames.shifts * 3)
    over = eye_faults.iris_over_corner(far, found, painted.marks())
    assert over[0] == pytest.approx(3 * eye.MOST + eye.RADIUS - 0.5, abs=0.01) == over[-1]


SIZE, BOX = head.SIZE, (240, 500, 840, 1100)


def turning(squeeze: float = 1.0, tip: float = 1.0) -> tuple[PreparedSitter, Box, list[Array]]:
    """A textured head that turns: the far eye squeezed, the nose's tip left behind by a part."""
    face = head.sitter()
    x, y = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    noise = np.random.default_rng(0).normal(size=(60, SIZE[1] // 8, SIZE[0] // 8))[0]
    pixels = np.kron(noise, np.ones((8, 8)))[..., None] * 30 + 120
    picture = np.clip(np.repeat(pixels, 3, 2), 0, 255).astype(np.uint8)
    field = HeadMotion((0, 0, *SIZE), np.zeros((2, 2)), np.zeros((2, 2)), 0.0, SIZE[0])
    plan = FrameMotions((-30.0, 0.0, 30.0), 1, (-8.0, 0.0, 8.0), np.zeros((3, 2)), 0.0, (0.2, 0.2))
    sitter = PreparedSitter(picture, face, field, (), plan)  # type: ignore[arg-type]  # eyes are not read
    left, right = face.eyes[0].lower[0], face.eyes[0].lower[-1]
    nose = face.mesh[1, :2]
    ends = []
    for side in (-1, 1):
        way = np.full(x.shape, 6.0 * side)
        near = np.exp(-(np.hypot(x - nose[0], y - nose[1]) ** 2) / (2 * 22.0**2))
        way *= 1 - (1 - tip) * near
        middle = (left + right) / 2
        socket = np.exp(-((np.hypot(x - middle[0], y - middle[1]) / 85) ** 12))
        way += socket * (x - middle[0]) * (1 - squeeze**side)
        from_x = np.clip(np.rint(x - way - 0.5), 0, SIZE[0] - 1).astype(int)
        frame = picture[np.arange(SIZE[1])[:, None], from_x]
        ends.append(frame[BOX[1] : BOX[3], BOX[0] : BOX[2]] @ np.array([0.299, 0.587, 0.114]))
    return sitter, BOX, ends


def test_a_rigid_head_keeps_its_eyes_and_its_nose() -> None:
    assert eye_faults.eye_width_ratios(*turning()) == pytest.approx(np.ones((2, 2)), abs=0.03)
    assert eye_faults.nose_tip_travel(*turning()) == pytest.approx(1, abs=0.1)


def test_an_eye_squeezed_and_stretched_by_the_turn_is_seen() -> None:
    widths = eye_faults.eye_width_ratios(*turning(squeeze=0.8))
    assert sorted(widths[0].tolist()) == pytest.approx([0.8, 1.25], abs=0.06)
    assert widths[1] == pytest.approx(np.ones(2), abs=0.03)


def test_a_far_eye_a_tenth_too_narrow_is_measured_to_2_percent() -> None:
    widths = eye_faults.eye_width_ratios(*turning(squeeze=0.9))
    assert sorted(widths[0].tolist()) == pytest.approx([0.9, 1 / 0.9], abs=0.02)


def test_a_nose_that_bends_is_seen_by_its_tip() -> None:
    assert eye_faults.nose_tip_travel(*turning(tip=0.3)) < 0.5


def test_a_chin_below_the_pictures_edge_is_no_error() -> None:
    sitter, box, ends = turning()
    cropped = replace(sitter, pixels=sitter.pixels[:850])
    assert np.isfinite(eye_faults.nose_tip_travel(cropped, box, ends))
    assert np.isfinite(eye_faults.eye_width_ratios(cropped, box, ends)).all()
