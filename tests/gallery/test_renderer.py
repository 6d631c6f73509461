"""Pictures of the gallery: everybody is exactly where the truth says, and looks like a person."""

import functools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from appliance.camera.base import RgbPicture
from appliance.camera.lens import Lens
from appliance.camera.sampling import Pixels, Region
from appliance.errors import BadManifest
from appliance.gallery import figures
from appliance.gallery.body_motion import MonotoneCurve
from appliance.gallery.figures import Figure, figure_names, load_figure
from appliance.gallery.renderer import WALL_Z, GalleryRenderer, draw_empty_room
from appliance.gallery.walks import RoomSpec, ScriptedPerson, WalkScript
from appliance.vision.blazeface import FaceDetector, letterbox_region

LENS = Lens(640, 360, 66.0)
SMALL = Lens(320, 180, 66.0)
PLAIN = RoomSpec(noise=0)


def standing(x: float, z: float, photograph: str = "astronaut.png", speed: float = 0.0) -> ScriptedPerson:
    """Somebody at x and z, in millimetres, 5 s into a walk; passing at a speed in mm/s."""
    times = (0.0, 10.0)
    return ScriptedPerson(
        f"at {x:g}, {z:g}",
        photograph,
        MonotoneCurve.through(times, (x - 5 * speed, x + 5 * speed)),
        MonotoneCurve.through(times, (0.0, 0.0)),
        MonotoneCurve.through(times, (z, z)),
        gait_mm=0.0,
    )


def picture(*people: ScriptedPerson, room: RoomSpec = PLAIN, lens: Lens = SMALL, number: int = 0) -> Pixels:
    return GalleryRenderer(WalkScript("a test", 20.0, room, people), lens).draw(5.0, number)


@functools.cache
def empty_room(room: RoomSpec, lens: Lens) -> Pixels:
    return picture(room=room, lens=lens)


def changed(pixels: Pixels, room: RoomSpec = PLAIN, lens: Lens = SMALL) -> NDArray[np.int_]:
    """How far every pixel is from the empty room's."""
    difference: NDArray[np.int_] = np.abs(pixels.astype(int) - empty_room(room, lens)).sum(2)
    return difference


class TestProjection:
    @given(
        st.floats(-5000, 5000),
        st.floats(-2000, 2000),
        st.floats(200, 20000),
        st.floats(10, 170),
        st.integers(64, 4608),
    )
    def test_agrees_with_similar_triangles(
        self, x: float, y: float, z: float, fov: float, width: int
    ) -> None:
        """At distance z the picture is 2 z tan(fov / 2) wide, and a pixel is as high as it is wide."""
        lens = Lens(width, width * 9 // 16, fov)
        visible = 2 * z * math.tan(math.radians(fov / 2))
        px, py = lens.project(x, y, z)
        assert px == pytest.approx((0.5 + x / visible) * width, rel=1e-9, abs=1e-6)
        assert py == pytest.approx(lens.height / 2 + y / visible * width, rel=1e-9, abs=1e-6)

    @given(st.floats(-5000, 5000), st.floats(200, 20000), st.floats(10, 170))
    def test_the_angle_of_a_pixel_is_the_angle_of_the_place(self, x: float, z: float, fov: float) -> None:
        lens = Lens(640, 360, fov)
        assert lens.angle(lens.project(x, 0, z)[0]) == pytest.approx(math.degrees(math.atan(x / z)), abs=1e-6)

    @given(st.floats(-4000, 4000), st.floats(-1500, 1500), st.floats(-0.15, 0.3), st.floats(40, 100))
    def test_a_bent_lens_is_straightened_again(self, x: float, y: float, k1: float, fov: float) -> None:
        lens = Lens(640, 360, fov, k1)
        z = max(1500.0, math.hypot(x, y))  # no ray beyond 45 degrees
        right, down = lens.ray(*lens.project(x, y, z))
        assert right == pytest.approx(x / z, abs=1e-4)
        assert down == pytest.approx(y / z, abs=1e-4)
        assert lens.project(math.tan(math.radians(fov / 2)), 0, 1)[0] == pytest.approx(640)

    def test_the_edges_are_half_the_field_of_view_away(self) -> None:
        assert LENS.angle(0) == pytest.approx(-33)
        assert LENS.angle(320) == 0
        assert LENS.angle(640) == pytest.approx(33)


@functools.cache
def disc() -> Figure:
    """A white disc of radius 30 with a soft rim; its middle, the eye midpoint, is off the pixel grid."""
    y, x = np.mgrid[0:256, 0:256] + 0.5
    rim = 30 - np.hypot(x - 110.3, y - 140.8)
    white = (np.clip(rim + 0.5, 0, 1) * 255 + 0.5).astype(np.uint8)
    levels = [Image.frombytes("RGBa", (256, 256), np.repeat(white[..., None], 4, 2).tobytes())]
    while levels[-1].width > 16:
        levels.append(levels[-1].reduce(2))
    return Figure(tuple(levels), (110.3, 140.8), 40.0)


class TestDrawing:
    @given(st.floats(60, 120), st.floats(60, 100), st.floats(3, 60), st.booleans())
    def test_a_figure_lands_where_it_should_to_a_fraction_of_a_pixel(
        self, x: float, y: float, eye_distance: float, mirrored: bool
    ) -> None:
        canvas = Image.new("RGB", (180, 160))
        disc().draw(canvas, (x, y), eye_distance, mirrored)
        light = np.asarray(canvas, np.float64)[..., 0]
        assert light.sum() > 0
        middle_x = (light.sum(0) * (np.arange(180) + 0.5)).sum() / light.sum()
        middle_y = (light.sum(1) * (np.arange(160) + 0.5)).sum() / light.sum()
        assert middle_x == pytest.approx(x, abs=0.05)
        assert middle_y == pytest.approx(y, abs=0.05)
        # The area grows with the square of the eye distance: nothing is cut, nothing is added.
        area = math.pi * (30 * eye_distance / 40) ** 2
        assert light.sum() / 255 == pytest.approx(area, rel=0.02, abs=1)

    def test_blur_smears_to_both_sides_alike(self) -> None:
        sharp, smeared = Image.new("RGB", (180, 160)), Image.new("RGB", (180, 160))
        disc().draw(sharp, (90.2, 80), 20)
        disc().draw(smeared, (90.2, 80), 20, blur=9.5)
        a, b = (np.asarray(image, np.float64)[..., 0].sum(0) for image in (sharp, smeared))
        columns = np.arange(180) + 0.5
        assert (b * columns).sum() / b.sum() == pytest.approx((a * columns).sum() / a.sum(), abs=0.05)
        spread = [(v * (columns - 90.2) ** 2).sum() / v.sum() for v in (a, b)]
        assert spread[1] - spread[0] == pytest.approx(9.5**2 / 12, rel=0.03)  # a box's variance

    @pytest.mark.parametrize("name", figure_names())
    def test_a_cut_out_person_has_soft_edges_and_clear_surroundings(self, name: str) -> None:
        figure = load_figure(name)
        alpha = np.asarray(figure.levels[0])[..., 3]
        edges = np.concatenate([alpha[0], alpha[:, 0], alpha[:, -1]])
        assert edges.max() == 0
        x, y = (int(v) for v in figure.eye_midpoint)
        assert alpha[y, x] == 255
        assert 0.01 < ((alpha > 20) & (alpha < 235)).mean() < 0.1


class TestRoom:
    def test_pictures_without_life_are_as_they_always_were(self) -> None:
        """The fixed walks are compared with measurements of old; means, because Pillow's bits may change."""
        pixels = picture(
            standing(-300, 1400), standing(400, 2000, "grace_hopper.jpg"), room=RoomSpec(), lens=LENS
        )
        means = pixels.reshape(3, 120, 5, 128, 3).mean((1, 3, 4))
        before = [
            [136.76, 135.70, 134.93, 132.38, 130.18],
            [101.92, 99.49, 95.20, 102.97, 71.70],
            [85.93, 109.10, 77.81, 47.53, 79.40],
        ]
        np.testing.assert_allclose(means, before, atol=0.05)

    def test_the_same_moment_and_number_give_the_same_picture(self) -> None:
        room = RoomSpec(noise=4)
        person = standing(200, 1300)
        np.testing.assert_array_equal(
            picture(person, room=room, number=3), picture(person, room=room, number=3)
        )

    def test_noise_is_new_in_every_picture_and_as_strong_as_asked(self) -> None:
        room = GalleryRenderer(WalkScript("a test", 20.0, RoomSpec(noise=5)), SMALL)
        clean = empty_room(PLAIN, SMALL).astype(float)
        grain = [room.draw(5.0, number) - clean for number in (0, 1, 2)]
        for each in grain:
            assert each.mean() == pytest.approx(0, abs=0.1)
            assert each.std() == pytest.approx(5, rel=0.03)
        assert abs(np.corrcoef(grain[0].ravel(), grain[1].ravel())[0, 1]) < 0.02

    def test_half_the_light_gives_half_the_brightness(self) -> None:
        full, half = (
            picture(standing(0, 1000), room=replace(PLAIN, light=light)).mean() for light in (1.0, 0.5)
        )
        assert half == pytest.approx(full / 2, rel=0.01)

    def test_a_nearer_person_hides_a_farther_one_in_any_order(self) -> None:
        near, far = standing(50, 1000), standing(0, 2000, "grace_hopper.jpg")
        together = picture(near, far)
        np.testing.assert_array_equal(together, picture(far, near))
        x, y = (int(v) for v in SMALL.project(50, 0, 1000))
        face = np.s_[y - 8 : y + 8, x - 10 : x + 10]
        np.testing.assert_array_equal(together[face], picture(near)[face])

    def test_a_person_out_of_view_leaves_no_trace(self) -> None:
        np.testing.assert_array_equal(picture(standing(-4000, 1300)), empty_room(PLAIN, SMALL))

    @pytest.mark.parametrize("x", [-900.0, 900.0])
    def test_a_person_half_in_view_is_cut_by_the_edge(self, x: float) -> None:
        columns = changed(picture(standing(x, 1300))).sum(0)
        edge = columns[:80] if x < 0 else columns[-80:]
        assert edge.sum() > 0.9 * columns.sum() > 0

    def test_people_stand_on_the_floor(self) -> None:
        rows = np.flatnonzero(changed(picture(standing(0, 6000), lens=LENS), lens=LENS).sum(1) > 60)
        feet = LENS.project(0, 1560, 6000)[1]
        assert rows.max() == pytest.approx(feet, abs=6)

    def test_a_person_moving_in_a_long_exposure_is_blurred(self) -> None:
        long = replace(PLAIN, exposure=0.05)
        sharp = picture(standing(0, 1000, speed=600))
        blurred = picture(standing(0, 1000, speed=600), room=long)
        still = picture(standing(0, 1000), room=long)
        np.testing.assert_array_equal(still, sharp)
        steepness = [np.abs(np.diff(p[80:100, 140:180].astype(int), axis=1)).sum() for p in (sharp, blurred)]
        assert steepness[1] < 0.8 * steepness[0]

    def test_before_a_bright_window_people_are_dark(self) -> None:
        x, y = (int(v) for v in SMALL.project(200, 0, 1500))
        face = np.s_[y - 4 : y + 6, x - 6 : x + 6]
        plain, against = (picture(standing(200, 1500), room=replace(PLAIN, back_light=b)) for b in (0.0, 1.0))
        assert against[face].mean() < 0.3 * plain[face].mean()
        window = empty_room(replace(PLAIN, back_light=1.0), SMALL)
        assert (window[40:90, 110:210] > 250).mean() > 0.7
        assert window[:, :60].mean() < 0.7 * empty_room(PLAIN, SMALL)[:, :60].mean()

    def test_the_light_of_a_poster_is_the_rooms_not_the_windows(self) -> None:
        poster = replace(standing(-600, 3000), kind="poster", eye_distance_mm=150)
        x, y = (int(v) for v in SMALL.project(-600, 0, 3000))
        face = np.s_[y - 4 : y + 6, x - 6 : x + 6]
        plain, against = (picture(poster, room=replace(PLAIN, back_light=b)) for b in (0.0, 1.0))
        np.testing.assert_array_equal(plain[face], against[face])

    def test_no_painting_hangs_behind_a_poster(self) -> None:
        columns = slice(*(int(LENS.project(x, 0, WALL_Z)[0]) for x in (-2400, -600)))
        row = int(LENS.project(0, 100, WALL_Z)[1])
        hung, bare = (
            np.array(draw_empty_room(LENS, 4, bare=spans))[row, columns].astype(int)
            for spans in ((), [(-2400.0, -600.0)])
        )
        assert np.abs(np.diff(hung, axis=0)).max() > 30 > 8 > np.abs(np.diff(bare, axis=0)).max()

    def test_a_statue_is_of_stone(self) -> None:
        pixels = picture(replace(standing(0, 1000), kind="statue")).astype(int)
        x, y = (int(v) for v in SMALL.project(0, 300, 1000))
        suit = pixels[y - 5 : y + 5, x - 10 : x + 10]
        assert np.abs(suit[..., 0] - suit[..., 2]).max() < 25

    @pytest.mark.parametrize("seed", range(4))
    def test_nobody_lives_in_the_paintings(self, seed: int) -> None:
        empty = RgbPicture(np.array(draw_empty_room(LENS, seed)), 0.0, 0)
        for detector in (FaceDetector("short"), FaceDetector("full")):
            regions = [Region(x, y, x + 240, y + 240) for x in (0, 200, 400) for y in (0, 120)]
            assert not any(
                detector.detect(empty, region) for region in (letterbox_region(640, 360), *regions)
            )


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "hair = [132, 108, 70]",
            "hair = [132, 108, 300]",
            "hair = [132, 108, 300]; expected [red, green, blue]",
        ),
        (
            "eyes = [[203.6, 101.2],",
            "eyes = [[203.6],",
            "eyes = [[203.6], [246.6, 103.6]]; expected two points",
        ),
        ('photograph = "astronaut.png"\n', "", "photograph missing; expected text"),
        ("hair = ", "hat = ", "hat = [132, 108, 70]; unknown key, expected one of photograph, eyes, hair"),
        ("colour = [14, 9, 6, 120]", "colour = 3", "paint: colour = 3; expected [red, green, blue]"),
    ],
)
def test_a_wrong_entry_of_the_catalogue_is_named(old: str, new: str, fault: str) -> None:
    text = (Path(figures.__file__).parent / "figures.toml").read_text("utf-8")
    assert old in text
    with pytest.raises(BadManifest) as caught:
        figures.parse_catalogue(text.replace(old, new, 1), "figures.toml")
    assert str(caught.value).startswith(f"figures.toml: figure 1: {fault}")
