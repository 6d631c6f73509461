"""Drawn eyes and written packs: each fault is named to the curator, and a clean portrait is to be hung."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from appliance.assets import home_folder
from appliance.cli import main
from appliance.pack import Pack
from appliance.portrait import eye_faults, verdict
from appliance.portrait.evaluate import evaluate_pack
from appliance.portrait.eye_faults import PortraitFigures, compare_uncovered_white, white_brightness
from appliance.portrait.eye_recordings import EyeAlongRow
from appliance.portrait.painting_to_pack import render
from appliance.portrait.prepared_sitters import RequestedMotion
from appliance.portrait.verdict import (
    MADE_ELSEWHERE,
    Verdict,
    add_row_faults,
    combine_verdicts,
    judge_frame_steps,
    judge_portrait,
)
from tests.portrait import drawn_frames as eye
from tests.portrait.company import prepared

PAINTING = home_folder() / "frames" / "sconosciuta.png"


def figures(left: EyeAlongRow, right: EyeAlongRow | None = None) -> PortraitFigures:
    """What is measured on a portrait with these eyes, whose head, corners and range are as they should be."""
    first, second = eyes = left, right or left
    return PortraitFigures(
        contrasts=(eye_faults.eye_contrast(first), eye_faults.eye_contrast(second)),
        rims=np.array([eye_faults.ghost_rims(e) for e in eyes]),
        arcs=np.array([eye_faults.limbus_arcs(e) for e in eyes]),
        edges=np.array([eye_faults.new_hard_edges(e) for e in eyes]),
        whites=(compare_uncovered_white(first), compare_uncovered_white(second)),
        levels=np.array([white_brightness(e) for e in eyes]),
        cuts=np.array([eye_faults.missing_iris_part(e) for e in eyes]),
        lights=np.array([eye_faults.catch_light_strengths(e) for e in eyes]),
        corners=np.zeros((2, len(first.shifts))),
        widths=np.ones((2, 2)),
        nose=1.1,
        angles=(-25.0, 25.0),
    )


CLEAN = figures(eye.drawn())


def test_what_is_seen_looking_down_is_told_with_its_row() -> None:
    down = replace(CLEAN, rims=np.where(np.arange(CLEAN.rims.shape[1]) < 4, 40.0, CLEAN.rims))
    name = "row 8, looking down 15 degrees"
    assert add_row_faults(judge_portrait(CLEAN), {name: CLEAN}) == judge_portrait(CLEAN)
    verdict = add_row_faults(judge_portrait(CLEAN), {name: down})
    assert verdict.kind == "look"
    assert verdict.reasons[0].startswith(f"{name}: frames 0 to 3: an old rim or edge stays in the eye")


def test_a_clean_portrait_is_to_be_hung() -> None:
    assert judge_portrait(CLEAN) == Verdict("hang")
    assert judge_portrait(CLEAN).lines() == ["verdict: hang it"]


@pytest.mark.parametrize(
    ("under", "over", "named"),
    [
        (eye.ring, None, "an old rim or edge stays in the eye at picture right"),
        (eye.annulus, None, "an old rim or edge stays in the eye at picture right"),
        (eye.hard_plate, None, "an old rim or edge stays in the eye at picture right"),
        (None, eye.debris, "hard edges lie around the uncovered white of the eye at picture right"),
        (eye.bright_plate, None, "times as bright as the white beside it"),
        (eye.grain, None, "times the grain of the white beside it"),
        (None, eye.arc, "an arc lies beside the iris of the eye at picture right"),
        (None, eye.cut, "the iris of the eye at picture right is cut"),
        (eye.lavender_plate, None, "is of another colour than the white beside it"),
        (eye.skin_for_white, None, "times as bright as any painted on that side"),
    ],
)
def test_each_fault_of_an_eye_is_named_with_its_frames(
    under: eye.Fault | None, over: eye.Fault | None, named: str
) -> None:
    found = judge_portrait(figures(eye.drawn(), eye.drawn(under, over)))
    assert found.kind == ("another" if under is eye.annulus else "look"), found  # two irises are too much
    assert any(named in reason for reason in found.reasons), found.reasons
    found_in_eye = [reason for reason in found.reasons if not reason.startswith("use a picture")]
    assert all(reason.startswith("frame") and "picture right" in reason for reason in found_in_eye)


def named(frames: EyeAlongRow) -> list[str]:
    """What is named where one eye is clean and the other has these frames."""
    return list(judge_portrait(figures(eye.drawn(), frames)).reasons)


def test_only_a_catch_light_that_fades_is_named() -> None:
    assert not named(eye.drawn(above=eye.catch_light))
    (reason,) = named(eye.drawn(above=eye.catch_light, over=eye.dull_catch_light))
    assert "the catch-light of the eye at picture right is" in reason


def test_white_where_the_painter_has_a_lids_shadow_is_named() -> None:
    staring = named(eye.drawn(painted=eye.dark_corner, under=eye.staring_white))
    assert any("times as bright as any painted on that side" in reason for reason in staring), staring
    assert all(reason.startswith("frames 0 to") for reason in staring if "any painted" in reason)


@pytest.mark.parametrize(
    "harmless",
    [
        eye.drawn(painted=eye.lid_shadow),  # the uncovered white goes on with the painter's own shade
        eye.drawn(over=eye.flicker),  # in one frame alone
        eye.drawn(skin=eye.DARK_SKIN),  # white ends hard at dark lids
    ],
    ids=["shade", "one frame", "dark lids"],
)
def test_what_a_curator_would_not_see_is_not_named(harmless: EyeAlongRow) -> None:
    assert not named(harmless)


def test_the_frames_to_look_at_are_named_in_runs() -> None:
    rims = np.zeros((2, 33))
    rims[0, [0, 1, 2, 9, 30, 31, 32]] = 20
    (reason,) = judge_portrait(replace(CLEAN, rims=rims)).reasons
    assert (
        reason
        == "frames 0 to 2, 9 and 30 to 32: an old rim or edge stays in the eye at picture left (20 grey levels)"
    )


@pytest.mark.parametrize(
    ("changes", "kind", "named"),
    [
        ({"widths": np.array([[0.8, 1.2], [1, 1]])}, "look", "the eye at picture left is 0.80 times as wide"),
        (
            {"widths": np.array([[1, 1], [0.6, 1]])},
            "another",
            "the eye at picture right is 0.60 times as wide",
        ),
        ({"widths": np.array([[0.91, 1.05], [1, 1]])}, "look", "the eye at picture left is 0.91 times"),
        ({"widths": np.array([[0.93, 1.07], [1, 1]])}, "hang", ""),
        ({"corners": np.full((2, 33), 0.06)}, "look", "slides over a corner by 6 % of the eye's width"),
        ({"nose": 0.35}, "look", "the nose bends: its tip goes 0.35 times as far as bridge and lip"),
        ({"angles": (-12.0, 30.0)}, "look", "from -12 to 30 degrees; expected one side at most 1.5 times"),
        ({"angles": (15.0, 77.0)}, "another", "from 15 to 77 degrees; expected at least 8 degrees to either"),
        ({"rims": np.full((2, 33), 100.0)}, "another", "an old rim or edge stays"),
    ],
)
def test_faults_of_head_and_range_are_named(changes: dict[str, Any], kind: str, named: str) -> None:
    found = judge_portrait(replace(CLEAN, **changes))
    assert found.kind == kind
    assert kind == "hang" or any(named in reason for reason in found.reasons), found.reasons
    assert (found.exit_code == 1) == (kind == "another") == ("use a picture in which" in str(found.reasons))


def test_a_flaw_near_its_limit_counts_if_it_lasts() -> None:
    still, cuts = replace(CLEAN, rims=np.zeros((2, 33))), np.zeros((2, 33))
    cuts[0, 31:] = 0.16
    assert judge_portrait(replace(still, cuts=cuts)).kind == "hang"
    cuts[0, 30] = 0.16
    assert judge_portrait(replace(still, cuts=cuts)).reasons[0].startswith("frames 30 to 32: the iris")
    cuts[0, :] = 0
    cuts[0, 32] = 0.24  # far beyond it: one frame is enough
    assert judge_portrait(replace(still, cuts=cuts)).reasons[0].startswith("frame 32: the iris")


def test_a_rim_counts_against_the_eyes_own_contrast() -> None:
    weak = replace(CLEAN, rims=np.full((2, 33), 12.0))
    assert judge_portrait(replace(weak, contrasts=(200.0, 200.0))).kind == "hang"
    assert judge_portrait(replace(weak, contrasts=(60.0, 60.0))).kind == "look"


def test_two_doubts_and_two_faults_in_each_eye_are_too_many() -> None:
    bad = np.full((2, 33), 20.0)
    faint, unsure = "the irises are faint: they move less", "the irises are read unsurely"
    short = "the gaze goes from -11 to 24 degrees; visitors farther to that side are not met"
    assert judge_portrait(replace(CLEAN, rims=bad, arcs=bad)).kind == "look"
    assert judge_portrait(replace(CLEAN, rims=bad, arcs=bad), [faint, short]).kind == "look"
    assert judge_portrait(replace(CLEAN, rims=bad), [faint, unsure]).kind == "look"
    assert judge_portrait(replace(CLEAN, rims=bad, arcs=bad), [faint, unsure]).kind == "another"


def test_what_no_frame_shows_is_a_remark_and_no_reason_to_look() -> None:
    soft = "the eyes are only 38 pixels apart in the original picture: expect them soft"
    faint = "the irises are faint (contrast 0.16; spectacles?): they move less"
    short = "the gaze goes from -11 to 12 degrees; visitors farther to that side are not met"
    found = judge_portrait(CLEAN, [soft, faint, short])
    assert found == Verdict("hang", (), (soft, faint, short))
    assert found.lines()[:2] == ["verdict: hang it", f"  remark: {soft}"]
    unmet = "the sitter seems to look 30 degrees to picture left, but eyes, head and picture do not agree"
    assert judge_portrait(CLEAN, [soft, unmet]) == Verdict("look", (unmet,), (soft,))
    lopsided = replace(CLEAN, angles=(-8.0, 20.0))
    assert judge_portrait(lopsided, [short]) == Verdict("look", (short,))


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verdict]:
    told: list[Verdict] = []
    out = tmp_path_factory.mktemp("packs") / "sconosciuta"
    render(PAINTING, out, 9, tell=told.append)
    return out, told[0]


def test_the_worst_sitter_decides_and_remarks_name_theirs() -> None:
    soft, bent = Verdict("look", ("frame 3: soft",)), Verdict("another", ("frame 1: bent",))
    found = combine_verdicts(
        {"face 1 (left)": soft, "face 2 (right)": Verdict("hang")}, {"face 3 (middle)": "rests: asleep"}
    )
    assert found == Verdict("look", ("face 1 (left): frame 3: soft", "face 3 (middle) rests: asleep"))
    found = combine_verdicts({"face 1 (left)": bent, "face 2 (right)": soft})
    assert found.kind == "another"
    assert found.reasons[:2] == ("face 1 (left): frame 1: bent", "face 2 (right): frame 3: soft")
    assert "--face N" in found.reasons[2]
    assert combine_verdicts({"face 2 (right)": bent}) == bent


@pytest.mark.slow
def test_render_and_evaluate_come_to_the_same_verdict(pack: tuple[Path, Verdict]) -> None:
    found = evaluate_pack(pack[0], render_again=False)
    assert (found["verdict"], tuple(found["reasons"])) == (pack[1].kind, pack[1].reasons) == ("hang", ())
    assert max(found["ghost_rim"] + found["limbus_arc"] + found["hard_edge"]) < 14
    assert found["jump_ratio"] < 1.3  # the figures that were there before still are


def test_frames_made_elsewhere_are_judged_by_range_and_steps() -> None:
    found = judge_frame_steps((-30.0, -10.0, 0.0, 10.0, 15.0), (2.0, 2.1, 6.3, 1.9))
    assert found.kind == "look" and found.exit_code == 0
    assert found.reasons == (
        "frames 2 to 3: the picture jumps, by 3.1 times the usual step",
        "the gaze goes from -30 to 15 degrees; expected one side at most 1.5 times the other",
        MADE_ELSEWHERE,
    )
    assert judge_frame_steps((-20.0, 0.0, 20.0), (2.0, 2.1)).reasons == (MADE_ELSEWHERE,)


@pytest.mark.slow
def test_head_frames_from_elsewhere_are_never_called_good(
    pack: tuple[Path, Verdict], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, heads = Pack(pack[0]), tmp_path / "heads"
    heads.mkdir()
    grid = ours.info.main
    x0, y0, x1, y1 = grid.box
    side = min(max(x1 - x0, y1 - y0), *ours.info.size)
    left, top = (
        min(max(start, 0), most - side) for start, most in zip((x0, y0), ours.info.size, strict=True)
    )
    for column in range(len(grid.angles)):
        whole = ours.base()
        whole.paste(ours.patch(grid.number(grid.resting[0], column)), (x0, y0))
        whole.crop((left, top, left + side, top + side)).save(heads / f"frame_{column:02}.png")
    command = ["portrait", "render", str(PAINTING), "--frames-from", str(heads), "--frames", "9"]
    assert main([*command, "--place", f"{left},{top},{side}", "--out", str(tmp_path / "pack")]) == 0
    assert "verdict: look at these frames first" in capsys.readouterr().out
    found = evaluate_pack(tmp_path / "pack", render_again=False)
    assert found["verdict"] == "look" and found["reasons"][-1] == MADE_ELSEWHERE
    assert "ghost_rim" not in found


@pytest.mark.slow
def test_a_ring_painted_into_a_pack_is_found_in_its_frames(
    pack: tuple[Path, Verdict], tmp_path: Path
) -> None:
    spoilt = Pack(shutil.copytree(pack[0], tmp_path / "spoilt"))
    base, (x0, y0) = np.array(spoilt.base()), spoilt.info.main.box[:2]
    sitter = prepared(base, RequestedMotion(9))
    right = sitter.eyes[1]
    x, y = right.view.axes.to_picture(np.array(right.iris.u), np.array(right.iris.v))
    grid = spoilt.info.main
    for column in (0, 8):
        frame = grid.number(grid.resting[0], column)
        pixels = np.array(spoilt.patch(frame))
        down, across = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]] + 0.5
        gone = float(sitter.head.displacement(x, y, sitter.plan.turns[column]).along)
        away = np.hypot(across + x0 - x - gone, down + y0 - y) - right.radius_px
        pixels[abs(away) < 1.5] = (30, 20, 15)
        Image.fromarray(pixels).save(spoilt.folder / spoilt.info.patch_name(frame))
    found = evaluate_pack(spoilt.folder, render_again=False)
    assert found["verdict"] in ("look", "another")
    assert any(
        "frames 0 and 8: an old rim or edge stays in the eye at picture right" in r for r in found["reasons"]
    )
    assert found["ghost_rim"][1] > 20


@pytest.mark.slow
def test_render_and_evaluate_end_with_1_for_a_refused_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verdict, "_EDGE", verdict._Limits(-2, -1, -2, -1))
    command = ["portrait", "render", str(PAINTING), "--frames", "3", "--size", "270x480"]
    assert main([*command, "--out", str(tmp_path / "pack")]) == 1
    assert "verdict: use another picture" in capsys.readouterr().out
    Pack(tmp_path / "pack").check()
    assert (tmp_path / "pack-eyes.png").exists()
    assert main(["portrait", "evaluate", str(tmp_path / "pack"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "another"
