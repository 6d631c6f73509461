"""Several sitters in one painting: each changes only its own pixels."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from appliance.errors import UnfitPortrait
from appliance.pack import Pack, boxes_overlap
from appliance.portrait.evaluate import evaluate_pack
from appliance.portrait.landmarks import FaceLandmarker, choose_faces
from appliance.portrait.painting_to_pack import render
from appliance.portrait.verdict import Verdict
from tests.portrait import company
from tests.portrait.odd import closed

Picture = NDArray[np.uint8]


def lit(pack: Pack, frames: tuple[int, ...], order: tuple[int, ...] = (0, 1, 2)) -> Picture:
    """The picture with a frame of each sitter, laid in some order."""
    whole = pack.base()
    for sitter in order:
        patch = pack.patch(frames[sitter], sitter)
        whole.paste(patch, pack.info.sitters[sitter].box[:2], patch if patch.mode == "RGBA" else None)
    return np.array(whole)


def changed(pack: Pack, sitter: int) -> NDArray[np.bool_]:
    """The pixels of the picture that any frame of a sitter changes."""
    at_rest = tuple(grid.rest for grid in pack.info.sitters)
    base, ever = lit(pack, at_rest), np.zeros(pack.info.size[::-1], bool)
    for frame in range(pack.info.sitters[sitter].count):
        frames = (*at_rest[:sitter], frame, *at_rest[sitter + 1 :])
        ever |= (lit(pack, frames) != base).any(2)
    return ever


def test_every_sitter_has_frames_of_its_own_largest_first(three_sitters: Pack) -> None:
    grids = three_sitters.info.sitters
    assert [grid.count for grid in grids] == [9, 9, 9]
    widths = [grid.box[2] - grid.box[0] for grid in grids]
    assert 1.5 * min(widths) > max(widths)
    middles = [grid.eyes[0] for grid in grids]
    assert middles == pytest.approx([149, 347, 605], abs=8)
    assert len({grid.angles for grid in grids}) == 3
    assert [three_sitters.info.settings[f"face{end}"] for end in ("", "_1", "_2")] == [1, 2, 3]


def test_at_rest_a_picture_of_three_is_the_painting_bit_for_bit(three_sitters: Pack) -> None:
    at_rest = tuple(grid.rest for grid in three_sitters.info.sitters)
    assert np.array_equal(lit(three_sitters, at_rest), np.array(company.three_sitters()))


def test_no_sitter_changes_a_pixel_of_a_neighbour(three_sitters: Pack) -> None:
    first, second, third = (grid.box for grid in three_sitters.info.sitters)
    assert boxes_overlap(first, second)
    assert not boxes_overlap(second, third)
    assert [three_sitters.patch(0, k).mode for k in range(3)] == ["RGBA", "RGBA", "RGB"]
    pixels = [changed(three_sitters, sitter) for sitter in range(3)]
    assert min(int(one.sum()) for one in pixels) > 20_000
    assert int(np.sum(pixels, axis=0).max()) == 1


def test_patches_of_touching_heads_may_be_laid_in_any_order(three_sitters: Pack) -> None:
    for frames in ((0, 8, 0), (8, 0, 8), (8, 8, 8)):
        there = lit(three_sitters, frames)
        assert all(np.array_equal(lit(three_sitters, frames, o), there) for o in permutations(range(3)))


def test_what_a_neighbour_owns_is_clear_and_not_moved(three_sitters: Pack) -> None:
    base = np.array(three_sitters.base())
    for sitter in (0, 1):
        x0, y0, x1, y1 = three_sitters.info.sitters[sitter].box
        for frame in (0, 8):
            patch = np.array(three_sitters.patch(frame, sitter))
            clear = patch[..., 3] == 0
            assert 100 < clear.sum() < 0.2 * clear.size
            assert set(np.unique(patch[..., 3])) == {0, 255}
            # The movement has ended before: nothing is cut off, so that no seam can be seen.
            assert np.array_equal(patch[clear][:, :3], base[y0:y1, x0:x1][clear])


@pytest.mark.slow
def test_each_of_three_sitters_is_measured(three_sitters: Pack) -> None:
    found = evaluate_pack(three_sitters.folder, render_again=False)
    assert list(found["others"]) == ["face 2 (middle)", "face 3 (right)"]
    for figures in (found, *found["others"].values()):
        assert figures["neutral_exact"]
        assert figures["changed_outside"] == 0
        assert figures["min_jacobian"] > 0.5
        assert min(figures["iris_travel_percent"]) > 10
    assert found["angles"] == [round(a, 2) for a in (three_sitters.info.main.angles[i] for i in (0, -1))]
    named = [reason.split(":")[0] for reason in found["reasons"]]
    assert named
    assert set(named) <= {"face 1 (left)", "face 2 (middle)", "face 3 (right)"}


@pytest.fixture
def one_asleep(tmp_path: Path) -> Path:
    company.three_sitters(closed).save(tmp_path / "asleep.png")
    return tmp_path / "asleep.png"


def test_a_sitter_that_cannot_follow_makes_render_ask_which(one_asleep: Path) -> None:
    out = one_asleep.with_name("pack")
    with pytest.raises(
        UnfitPortrait,
        match=r"asleep\.png: 3 faces found \(1 left, 2 middle, 3 right\), and not all can follow \(face 3: .*\)"
        r"; choose one with --face N, or --face all for those that can; .*pack-faces\.png shows the numbers",
    ):
        render(one_asleep, out, 3)
    assert out.with_name("pack-faces.png").exists()
    assert not out.exists()


@pytest.mark.slow
def test_a_sitter_that_cannot_follow_rests_and_is_named(one_asleep: Path) -> None:
    told: list[str] = []
    verdicts: list[Verdict] = []
    out = one_asleep.with_name("pack")
    info = render(one_asleep, out, 3, say=told.append, choose="all", tell=verdicts.append)
    assert [grid.eyes[0] for grid in info.sitters] == pytest.approx([149, 347], abs=8)
    assert "2 sitters, the largest first: face 1 (left), face 2 (middle)" in told
    (line,) = (line for line in told if "rests" in line)
    assert line.startswith("face 3 (right) rests: ")
    assert line in verdicts[0].reasons
    assert info.settings["resting"] == line
    pack = Pack(out)
    with Image.open(one_asleep) as image:
        painting = np.array(image.convert("RGB"))
    assert np.array_equal(lit(pack, (0, 2), (0, 1))[:, 480:], painting[:, 480:])


def test_one_of_three_alone_is_chosen_by_number(one_asleep: Path) -> None:
    info = render(one_asleep, one_asleep.with_name("pack"), 3, choose=2, rows=1)
    assert len(info.sitters) == 1
    assert info.main.eyes[0] == pytest.approx(347, abs=8)
    assert info.patch_names() == ["patch_00.png", "patch_01.png", "patch_02.png"]


@pytest.mark.slow
def test_a_small_face_in_the_background_rests_and_is_counted(tmp_path: Path) -> None:
    picture = company.three_sitters()
    small = picture.crop((472, 0, 700, 480)).resize((74, 155), Image.Resampling.LANCZOS)
    picture.paste(small, (626, 325))
    picture.save(tmp_path / "wall.png")
    told: list[str] = []
    info = render(tmp_path / "wall.png", tmp_path / "pack", 3, say=told.append)
    assert len(info.sitters) == 3
    assert any(line.endswith("; 1 smaller face rests (--face all takes it, too)") for line in told)
    found = FaceLandmarker().numbered_faces(np.array(picture))
    assert list(choose_faces(found, None)) == [1, 2, 3]
    assert list(choose_faces(found, "all")) == [1, 2, 3, 4]
