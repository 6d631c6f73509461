"""Drawn eyes of known truth: iris, lids and corners are found, and a moved iris leaves no trace."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from appliance.camera.sampling import Pixels
from appliance.portrait.eye_layers import PaintedEye, fit_eyes
from appliance.portrait.sampling import sample_sharp
from tests.portrait.measure import iris_shift
from tests.portrait.synthetic import SIZE, WHITE, DrawnEye, draw, landmarks

Floats = NDArray[np.float64]
EYES = [DrawnEye(110, 60, 80, gaze=2), DrawnEye(290, 60, 80, gaze=2)]
PAINTING = draw(EYES)
FITTED = fit_eyes(PAINTING, landmarks(EYES))
ROWS = slice(30, 90)  # beyond them nothing can change
Y, X = np.mgrid[ROWS, 0 : SIZE[0]] + 0.5
ALL_Y, ALL_X = np.mgrid[0 : SIZE[1], 0 : SIZE[0]] + 0.5
ALL = ALL_X, ALL_Y
FARTHEST = 0.14 * 80


def drawn(
    shift: float,
    eyes: tuple[PaintedEye, PaintedEye] = FITTED,
    painting: Pixels = PAINTING,
    down: float = 0.0,
) -> Floats:
    out = painting.astype(float)
    for eye in eyes:
        inside = eye.can_change(*ALL, bool(down))
        out[inside] = eye.draw(painting, ALL[0][inside], ALL[1][inside], shift, down)
    return out


def rounded(picture: Floats) -> Pixels:
    whole: Pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return whole


@pytest.mark.parametrize(
    ("gaze", "wrong_by"), [(0.0, 0.0), (-6.0, 0.03), (-6.0, -0.03), (4.0, 0.03), (4.0, -0.03)]
)
def test_a_drawn_iris_is_found_within_3_percent_of_the_width(gaze: float, wrong_by: float) -> None:
    eyes = [DrawnEye(110, 60, 80, gaze), DrawnEye(290, 55, 70, gaze)]
    for eye, truth in zip(fit_eyes(draw(eyes), landmarks(eyes, wrong_by)), eyes, strict=True):
        x, y = eye.view.axes.to_picture(np.array(eye.iris.u), np.array(eye.iris.v))
        assert abs(x - truth.x - truth.gaze) < 0.03 * truth.width
        assert abs(y - truth.y) < 0.03 * truth.width
        assert abs(eye.radius_px - truth.radius) < 0.03 * truth.width


def test_lids_are_found_at_the_opening_or_a_little_outside() -> None:
    for eye, truth in zip(FITTED, EYES, strict=True):
        for part in (-0.25, 0.0, 0.25):
            x = np.array([truth.x + part * truth.width])
            upper, lower = eye.lids.at(eye.view.axes.to_eye(x, np.array([truth.y]))[0])
            assert -0.08 < upper[0] - (truth.lid(x, -0.19)[0] - truth.y) / truth.width < 0.02
            assert -0.02 < lower[0] - (truth.lid(x, 0.17)[0] - truth.y) / truth.width < 0.08


def test_an_iris_moved_by_nothing_is_the_painting() -> None:
    # The sum of the layers is exact but for rounding in floating point.
    assert np.abs(drawn(0.0) - PAINTING).max() < 1e-9


@settings(max_examples=12, deadline=None)
@given(shift=st.floats(-15, 15))
def test_beyond_the_lids_nothing_changes_and_no_number_breaks(shift: float) -> None:
    out = drawn(shift)
    hidden = ~np.any([eye.can_change(X, Y) for eye in FITTED], 0)
    assert np.isfinite(out).all()
    assert np.array_equal(out[ROWS][hidden], PAINTING[ROWS][hidden])


def test_the_iris_goes_where_it_is_sent() -> None:
    for part in (-1.0, -0.5, 0.5, 1.0):
        frame = rounded(drawn(part * FARTHEST))
        for eye in FITTED:
            # 4 %: the turned iris is foreshortened, so the match is not perfect.
            assert iris_shift(PAINTING, frame, eye) == pytest.approx(part * FARTHEST, abs=0.04 * FARTHEST)


def pupil(frame: Pixels | Floats, truth: DrawnEye, x: float, y: float) -> Floats:
    """The middle of what is as dark as the pupil, off the lids' line, within 10 pixels of a place."""
    near = np.hypot(ALL[0] - truth.x - truth.gaze - x, ALL[1] - truth.y - y) < 10
    dark = near & (frame.mean(-1) < 32)
    return np.array([ALL[0][dark].mean() - truth.x - truth.gaze, ALL[1][dark].mean() - truth.y])


@pytest.mark.parametrize("down", [-5.0, -2.5, 2.5, 5.0])
@pytest.mark.parametrize("shift", [-8.0, 0.0, 8.0])
def test_the_iris_goes_up_and_down_where_it_is_sent(shift: float, down: float) -> None:
    frame = drawn(shift, down=down)
    for truth in EYES:
        went = pupil(frame, truth, shift, down) - pupil(PAINTING, truth, 0, 0)
        assert np.abs(went - (shift, down)).max() < 0.03 * truth.width


@pytest.mark.parametrize("down", [-5.0, 5.0])
def test_the_lids_follow_a_gaze_up_and_down(down: float) -> None:
    for truth in EYES:
        # Beside the iris, where the lids go three quarters as far as in the middle.
        column, top = int(truth.x - 0.27 * truth.width), int(truth.y - 0.5 * truth.width)
        before, after = (p[top : int(truth.y), column].mean(-1) for p in (PAINTING, drawn(0, down=down)))
        line, moved = (
            np.average(np.arange(len(p)), weights=np.clip(120 - p, 0, None)) for p in (before, after)
        )
        assert moved - line == pytest.approx(0.75 * 0.71 * down, abs=0.6)


@pytest.mark.parametrize("down", [-5.0, 5.0])
def test_the_skin_gives_way_to_the_lids_without_a_seam(down: float) -> None:
    frame = drawn(0, down=down)
    for truth in EYES:
        skin = np.s_[: int(truth.y - 0.3 * truth.width)], np.s_[int(truth.x - 40) : int(truth.x + 40)]
        steps = [np.abs(np.diff(p[skin].astype(float), axis=0)).max() for p in (frame, PAINTING)]
        assert steps[0] < 1.25 * steps[1]


@settings(max_examples=12, deadline=None)
@given(shift=st.floats(-12, 12), down=st.floats(-9, 9))
def test_no_number_breaks_in_any_direction(shift: float, down: float) -> None:
    out = drawn(shift, down=down)
    hidden = ~np.any([eye.can_change(*ALL, True) for eye in FITTED], 0)
    assert np.isfinite(out).all()
    assert np.array_equal(out[hidden], PAINTING[hidden])


def test_travel_is_monotone() -> None:
    shifts = np.linspace(-1, 1, 9) * FARTHEST
    frames = [rounded(drawn(shift)) for shift in shifts]
    for eye in FITTED:
        found = [iris_shift(PAINTING, frame, eye) for frame in frames]
        assert (np.diff(found) > 0.5 * np.diff(shifts)).all()


def test_where_the_iris_was_there_is_white() -> None:
    frame = drawn(-FARTHEST)
    for eye, truth in zip(FITTED, EYES, strict=True):
        # A point that only the resting iris covers, at half the eye's height.
        x, y = round(truth.x + truth.gaze + 0.8 * truth.radius), round(truth.y)
        assert PAINTING[y, x].mean() < 100
        assert frame[y, x].mean() == pytest.approx(np.mean((222, 215, 200)), abs=8), eye.iris


@pytest.mark.parametrize("part", [-1.0, -0.5, 0.5, 1.0])
def test_no_speck_is_brighter_than_the_painting_around_it(part: float) -> None:
    near = 2 * math.ceil(abs(part * FARTHEST)) + 7
    brightest = np.asarray(Image.fromarray(PAINTING).filter(ImageFilter.MaxFilter(near)), float)
    # Sharp sampling overshoots an edge of 200 levels by a tenth.
    assert (drawn(part * FARTHEST) - brightest).max() < 22


def test_a_mirrored_painting_moves_mirrored() -> None:
    mirrored_eyes = [DrawnEye(SIZE[0] - e.x, e.y, e.width, -e.gaze) for e in reversed(EYES)]
    mirrored = np.ascontiguousarray(PAINTING[:, ::-1])
    eyes = fit_eyes(mirrored, landmarks(mirrored_eyes))
    there, back = drawn(8.0), drawn(-8.0, eyes, mirrored)[:, ::-1]
    # The searches step over the two pictures in opposite directions: a step of 0.003 eye widths.
    assert np.abs(there - back).mean() < 0.2


def test_an_iris_near_its_corner_has_room_to_the_other_side_only() -> None:
    eyes = [DrawnEye(110, 60, 80, 24), DrawnEye(290, 60, 80, 24)]
    for eye in fit_eyes(draw(eyes), landmarks(eyes)):
        left, right = eye.room_px
        assert right < 0.12 * 80
        assert left > 0.4 * 80


@pytest.mark.parametrize("wider", [0.0, 0.15, 0.3])
def test_corners_are_where_white_ends_whatever_the_model_says(wider: float) -> None:
    eyes = [DrawnEye(110, 60, 80, gaze=4, model_wider=wider), DrawnEye(290, 60, 80, -4, model_wider=wider)]
    for eye, truth in zip(fit_eyes(draw(eyes), landmarks(eyes)), eyes, strict=True):
        ends = eye.view.axes.to_picture(np.array([eye.lids.left, eye.lids.right]), np.zeros(2))[0]
        # The white narrows to a point there: what is drawn may end a little inside it.
        assert ends - truth.x == pytest.approx([-truth.width / 2, truth.width / 2], abs=0.08 * truth.width)


def test_an_iris_painted_at_its_corner_stays_within_it() -> None:
    eyes = [DrawnEye(x, 60, 80, 22, model_wider=0.25) for x in (110, 290)]
    for eye in fit_eyes(draw(eyes), landmarks(eyes)):
        # 7 pixels with the model's corners right; 27 if they were believed.
        assert eye.room_px[1] < 0.12 * 80
        assert eye.room_px[0] > 0.3 * 80


def test_a_half_hidden_iris_is_whole_where_it_moves() -> None:
    eyes = [DrawnEye(x, 60, 80, gaze=-30) for x in (110, 290)]
    painting = draw(eyes)
    frame = drawn(26.0, fit_eyes(painting, landmarks(eyes)), painting)
    for truth in eyes:
        # The half that was behind the corner, clear of the lids' lines.
        away = np.hypot(X - truth.x + 4, Y - truth.middle)
        inside = (away < 0.8 * truth.radius) & (truth.x - 8 > X) & (abs(Y - truth.y) < 8)
        # The brighter of the iris's colours has 95; a fringe of the lid's may show.
        assert (frame[ROWS][inside].max(-1) > 130).mean() < 0.1


def shaded(painting: Pixels, eyes: list[DrawnEye]) -> Pixels:
    """Cast a shadow over everything to picture right of the irises' middles."""
    x = np.arange(SIZE[0]) + 0.5
    light = np.ones(SIZE[0])
    for eye in eyes:
        light -= 0.65 * np.clip((x - eye.x - eye.gaze) / eye.radius, 0, 1) * (abs(x - eye.x) < 60)
    return rounded(painting * light[:, None])


def test_uncovered_white_in_shadow_is_as_dark_as_beside_it() -> None:
    eyes = [DrawnEye(x, 60, 80, gaze=12) for x in (110, 290)]
    painting = shaded(draw(eyes), eyes)
    frame = drawn(-FARTHEST, fit_eyes(painting, landmarks(eyes)), painting)
    for truth in eyes:
        right = truth.x + truth.gaze + truth.radius
        rows = slice(57, 64)
        uncovered, beside = (
            frame[rows, round(a) : round(b)].mean() for a, b in ((right - 5, right), (right + 2, right + 7))
        )
        assert uncovered < 1.25 * beside


@pytest.mark.parametrize("rim", [(40, 25, 15), (140, 110, 80)])
def test_no_rim_stays_behind_when_a_large_iris_moves(rim: tuple[int, int, int]) -> None:
    eyes = [DrawnEye(x, 60, 80, 2, size=0.6, rim=rim, pupil=0.65) for x in (110, 290)]
    painting = draw(eyes)
    frame = drawn(-FARTHEST, fit_eyes(painting, landmarks(eyes)), painting)
    for truth in eyes:
        gone = np.hypot(X - truth.x - truth.gaze, Y - truth.middle) - truth.radius
        here = np.hypot(X - truth.x - truth.gaze + FARTHEST, Y - truth.middle) - truth.radius
        clear = (here > 6) & (truth.x < X) & (abs(Y - truth.y) < 9)
        white = frame[ROWS][clear & (gone < -4)].mean()
        assert abs(frame[ROWS][clear & (abs(gone) < 2)].mean() - white) < 4


def test_wrinkles_under_an_eye_make_no_stripes_on_its_white() -> None:
    # Irises so large that no field of white is left to take the grain from.
    eyes = [DrawnEye(x, 60, 80, size=0.6) for x in (110, 290)]
    wrinkles = 20 * np.sin(np.arange(SIZE[1]) * 2 * np.pi / 3.5)
    wrinkles[:84] = 0
    painting = rounded(draw(eyes) + wrinkles[:, None, None])
    for eye in fit_eyes(painting, landmarks(eyes)):
        across, down = np.linspace(-0.12, 0.12, 40), np.linspace(-0.1, 0.1, 80)
        u, v = np.meshgrid(eye.iris.u + across, eye.iris.v + down)
        ground = eye.view.at(eye.layers.colours, u, v)[..., :3].mean((1, 2))
        shade = np.polyval(np.polyfit(down, ground, 6), down)
        assert np.std(ground - shade) < 1


def test_an_iris_stays_off_the_inner_corner_of_grey_sitters() -> None:
    # In a picture without colours the white cannot be told from the skin.
    grey = np.repeat(PAINTING.mean(-1, keepdims=True).astype(np.uint8), 3, -1)
    # The nose is at picture right of the eye at picture left.
    for eye, inner in zip(fit_eyes(grey, landmarks(EYES)), (1, -1), strict=True):
        corners = np.array([eye.lids.left, eye.lids.right]) * inner
        assert corners.max() < 0.48
        assert -corners.min() > 0.48


def test_a_sitter_without_colours_moves_the_eyes_as_far() -> None:
    # The model's corners are believed then, but for the flesh in the inner one: 8 % of the eye's width. In
    # this print the brightest greys, which are the whites, are a little bluer than the skin.
    light = PAINTING.mean(-1, keepdims=True)
    grey = rounded(light + (light > 190) * np.array((-2, 0, 3)))
    for eye, coloured in zip(fit_eyes(grey, landmarks(EYES)), FITTED, strict=True):
        for room, wanted in zip(eye.room_px, coloured.room_px, strict=True):
            assert room > wanted - 0.1 * 80


def softened(painting: Pixels, sigma: float) -> Pixels:
    return np.asarray(Image.fromarray(painting).filter(ImageFilter.GaussianBlur(sigma)))


def steepest(picture: Floats) -> float:
    """Return the largest change of light over two pixels, across or down."""
    light = picture.mean(-1)
    return float(max(abs(light[2:] - light[:-2]).max(), abs(light[:, 2:] - light[:, :-2]).max()))


@pytest.mark.parametrize("sigma", [2.5, 3.5])
@pytest.mark.parametrize("side", [-1, 1])
def test_in_a_soft_painting_no_new_edge_is_harder(sigma: float, side: int) -> None:
    painting = softened(draw(EYES), sigma)
    frame = drawn(side * FARTHEST, fit_eyes(painting, landmarks(EYES)), painting)
    assert steepest(frame) < 1.05 * steepest(painting.astype(float))


@pytest.mark.parametrize("side", [-1, 1])
def test_a_narrow_white_beside_flesh_is_uncovered_as_white(side: int) -> None:
    eyes = [DrawnEye(x, 60, 80) for x in (110, 290)]
    painting = draw(eyes)
    x = np.arange(SIZE[0]) + 0.5
    for eye in eyes:
        flesh = abs(x - eye.x) - eye.radius > 7
        inside = (painting > np.array(WHITE) - 12).all(-1) & flesh & (abs(x - eye.x) < 45)
        painting[inside] = (196, 148, 132)
    frame = drawn(-side * FARTHEST, fit_eyes(softened(painting, 1), landmarks(eyes)), softened(painting, 1))
    for eye in eyes:
        ends = sorted((eye.x + side * 8, eye.x + side * 14))
        red, green, _ = frame[57:64, round(ends[0]) : round(ends[1])].mean((0, 1))
        # White has 7 grey levels between them, flesh 48.
        assert red - green < 28


def test_white_that_reaches_into_an_iris_is_no_catch_light() -> None:
    painting = PAINTING.astype(float)
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]] + 0.5
    for eye in EYES:
        away = np.hypot(x - eye.x - eye.gaze, y - eye.y) / eye.radius
        turn = np.arctan2(y - eye.y, x - eye.x - eye.gaze)
        wedge = (abs(np.angle(np.exp(1j * (turn - 2.6)))) < 0.35) & (away < 1)
        painting += (wedge * np.clip((away - 0.4) / 0.6, 0, 1))[..., None] * (WHITE - painting)
    for found in fit_eyes(softened(rounded(painting), 1.2), landmarks(EYES)):
        assert found.layers.colours[..., 6:9].max() < 20


def shadowed(painting: Pixels, eyes: list[DrawnEye], side: int, off: float) -> Pixels:
    """Put everything farther than `off` pixels beside the irises in a lid's deep shadow, blurred a little."""
    x = np.arange(SIZE[0]) + 0.5
    dark = sum(
        np.clip(((x - eye.x - eye.gaze) * side - eye.radius - off) / 2, 0, 0.85) * (abs(x - eye.x) < 55)
        for eye in eyes
    )
    return softened(rounded(painting + np.multiply.outer(dark, np.ones(3)) * ((40, 28, 22) - painting)), 1.5)


@pytest.mark.parametrize(
    ("eye", "side", "off"),
    [
        (DrawnEye(0, 60, 80), -1, 1.0),
        (DrawnEye(0, 60, 80), 1, 3.0),
        (DrawnEye(0, 60, 80, size=0.55), 1, 2.0),
        (DrawnEye(0, 60, 80, gaze=14), 1, 50.0),
    ],
    ids=["shadow", "narrow white", "narrow eye", "corner"],
)
def test_nothing_beside_the_painted_iris_changes_when_it_moves(eye: DrawnEye, side: int, off: float) -> None:
    eyes = [replace(eye, x=x) for x in (110, 290)]
    painting = shadowed(draw(eyes), eyes, side, off)
    shift = -side * FARTHEST
    for fitted, truth in zip(fit_eyes(painting, landmarks(eyes)), eyes, strict=True):
        away = [np.hypot(ALL[0] - truth.x - truth.gaze - way, ALL[1] - truth.middle) for way in (0, shift)]
        # The rims are blurred by 1.7 pixels.
        beside = fitted.can_change(*ALL) & (np.minimum(*away) > truth.radius + 4)
        x, y = (values[beside] for values in ALL)
        change = fitted.draw(painting, x, y, shift) - sample_sharp(
            painting, *fitted.lids_content_from(x, y, shift)
        )
        assert abs(change).mean(-1).max() < 14


@pytest.mark.parametrize("off", [3.0, 5.0])
def test_a_narrow_white_in_shadow_is_as_light_as_painted(off: float) -> None:
    eyes = [DrawnEye(x, 60, 80) for x in (110, 290)]
    painting = shadowed(draw(eyes), eyes, 1, off)
    frame = drawn(-FARTHEST, fit_eyes(painting, landmarks(eyes)), painting)
    for truth in eyes:
        rim = round(truth.x + truth.radius)
        painted = painting[57:64, rim : rim + 6].mean((0, 2)).max()
        assert frame[57:64, rim - 3 : rim + 1].mean() > 0.85 * painted


@pytest.mark.parametrize("down", [-8.0, 8.0])
def test_skin_far_from_the_lids_stays_as_the_eye_moves(down: float) -> None:
    for eye, truth in zip(FITTED, EYES, strict=True):
        u = np.linspace(-0.4, 0.4, 9)
        upper, lower = eye.lids.at(u)
        for v in (upper - 0.7, lower + 0.5):
            x, y = eye.view.axes.to_picture(u, v)
            there = eye.lids_content_from(x, y, 0.0, down)
            assert np.abs(np.subtract(there, (x, y))).max() < 0.001 * truth.width
        x, y = eye.view.axes.to_picture(u[4:5], lower[4:5])
        assert abs(eye.lids_content_from(x, y, 0.0, down)[1] - y) > 0.2 * abs(down)


@pytest.mark.parametrize("down", [False, True])
def test_all_that_an_eye_can_change_lies_within_its_corners(down: bool) -> None:
    """The box of the frames is made of these corners: what lies outside of it would be cut off."""
    for eye in FITTED:
        x, y = eye.corners(down)
        changes = eye.can_change(*ALL, down)
        assert changes.any()
        assert x.min() - 1 <= ALL[0][changes].min() and ALL[0][changes].max() <= x.max() + 1
        assert y.min() - 1 <= ALL[1][changes].min() and ALL[1][changes].max() <= y.max() + 1
