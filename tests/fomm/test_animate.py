"""From painting, film and checkpoint to a pack: whole, cut off and gone on, and the same bytes again."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.modules.module import register_module_forward_hook

from appliance import cli
from appliance.assets import home_folder
from appliance.bench.fomm import frames_of_the_sitter, there_and_back, write_driving_film
from appliance.errors import BadFilm, BadModel, CannotWrite, ConfigError, UnfitPortrait
from appliance.fomm.animate import Choices, animate
from appliance.fomm.network import VOX, Generator
from appliance.images import read_pixels
from appliance.pack import Pack
from appliance.portrait.evaluate import evaluate_pack
from appliance.portrait.foreign_blend import BlendSettings
from appliance.portrait.foreign_pack import render_from_frames
from tests.fomm.recipe import TINY, checkpoint

PAINTING = home_folder() / "frames" / "sconosciuta.png"
# Large enough for detail that 256 pixels cannot hold, small enough for tests.
SIZE = (540, 960)
CHOICES = Choices(size=SIZE)
RUN = """
import sys
from pathlib import Path
from tests.fomm.test_animate import CHOICES, TINY, animate
animate(*map(Path, sys.argv[1:]), CHOICES, architecture=TINY)
"""


@contextmanager
def drawn() -> Iterator[list[int]]:
    """Count the frames that any generator draws meanwhile."""
    runs: list[int] = []
    hook = register_module_forward_hook(lambda m, *_: runs.append(1) if isinstance(m, Generator) else None)
    try:
        yield runs
    finally:
        hook.remove()


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.pth.tar"
    torch.save(checkpoint(TINY), path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, film: Path, weights: Path) -> tuple[Path, int]:
    """A pack, and how many frames were drawn for it."""
    out = tmp_path_factory.mktemp("done") / "pack"
    with drawn() as runs:
        animate(PAINTING, film, weights, out, CHOICES, architecture=TINY)
    return out, len(runs)


def test_the_pack_has_equal_steps_and_the_painting_at_rest(done: tuple[Path, int]) -> None:
    pack = Pack(done[0])
    pack.check()
    assert pack.info.main.count == 33
    assert pack.info.main.rest == 16
    steps = np.diff(pack.info.main.angles)
    assert np.ptp(steps) < 1e-9
    assert pack.info.main.angles[-1] > 8  # degrees: the sitter of the film goes some 20 to either side
    assert (done[0].with_name("pack-sheet.png")).is_file()


def test_evaluate_finds_the_painting_untouched_around_it(done: tuple[Path, int]) -> None:
    report = evaluate_pack(done[0], render_again=False)
    assert report["frames"] == 33
    assert report["neutral_exact"]
    assert report["changed_on_border"] == 0


def test_33_frames_never_draw_more_than_33(done: tuple[Path, int]) -> None:
    assert done[1] == 33


def test_a_second_run_draws_nothing_and_leaves_the_same_bytes(
    done: tuple[Path, int], film: Path, weights: Path
) -> None:
    out, before = done[0], hashes(done[0])
    with drawn() as runs:
        animate(PAINTING, film, weights, out, CHOICES, architecture=TINY)
    assert not runs
    assert hashes(out) == before


def test_a_frame_damaged_meanwhile_is_drawn_again(done: tuple[Path, int], film: Path, weights: Path) -> None:
    before = hashes(done[0])
    frame = done[0].with_name("pack-frames") / "frame_03.png"
    frame.write_bytes(frame.read_bytes()[:99])
    with drawn() as runs:
        animate(PAINTING, film, weights, done[0], CHOICES, architecture=TINY)
    assert len(runs) == 1
    assert hashes(done[0]) == before


@pytest.fixture
def watched(done: tuple[Path, int], tmp_path: Path) -> Path:
    """An output whose film need not be watched again: only what the model does is done."""
    out = tmp_path / "pack"
    frames = out.with_name("pack-frames")
    frames.mkdir()
    (frames / "film.npz").write_bytes((done[0].with_name("pack-frames") / "film.npz").read_bytes())
    return out


def begin(out: Path, done: tuple[Path, int], **changes: object) -> None:
    """Note in the folder of frames which job it is."""
    facts = json.loads((done[0].with_name("pack-frames") / "job.json").read_text("utf-8"))
    text = json.dumps({**facts, **changes}, indent=1, sort_keys=True) + "\n"
    (out.with_name("pack-frames") / "job.json").write_text(text, "utf-8")


def test_killed_half_way_it_goes_on_to_the_same_bytes(
    done: tuple[Path, int], watched: Path, film: Path, weights: Path
) -> None:
    begin(watched, done)
    out, frames = watched, watched.with_name("pack-frames")
    command = [sys.executable, "-c", RUN, str(PAINTING), str(film), str(weights), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(home_folder())}
    with subprocess.Popen(command, env=environment) as process:
        while process.poll() is None and len(list(frames.glob("frame_*.png"))) < 7:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    there = len(list(frames.glob("frame_*.png")))
    assert 7 <= there < 33
    with drawn() as runs:
        animate(PAINTING, film, weights, out, CHOICES, architecture=TINY)
    assert len(runs) == 33 - there
    assert hashes(out) == hashes(done[0])


def test_a_picture_without_a_face_leaves_no_trace_in_the_frames(
    done: tuple[Path, int], weights: Path, tmp_path: Path
) -> None:
    shown = frames_of_the_sitter()
    pictures = [shown[i] for i in there_and_back()]
    for hidden in (24, 36):
        pictures[hidden] = Image.new("RGB", pictures[0].size)
    out = tmp_path / "pack"
    film = write_driving_film(tmp_path / "film.mp4", pictures)
    animate(PAINTING, film, weights, out, CHOICES, architecture=TINY)
    off = []
    for i in range(33):
        ours, whole = (
            read_pixels(pack.with_name("pack-frames") / f"frame_{i:02d}.png").astype(int)
            for pack in (out, done[0])
        )
        off.append(np.abs(ours - whole).mean())
    assert max(off) < 0.2  # of 255, on average: the pictures beside it are packed a little otherwise


def test_sampling_as_todays_official_code_gives_other_frames(
    done: tuple[Path, int], watched: Path, film: Path, weights: Path
) -> None:
    begin(watched, done, align_corners=False, frames=3)
    animate(
        PAINTING, film, weights, watched, replace(CHOICES, frames=3, align_corners=False), architecture=TINY
    )
    ours, theirs = Pack(done[0]), Pack(watched)
    assert theirs.info.settings["align_corners"] is False
    assert ours.patch(0).tobytes() != theirs.patch(0).tobytes()
    assert ours.patch(16).tobytes() == theirs.patch(1).tobytes()


def test_detail_is_put_back_by_the_part_asked_for(
    done: tuple[Path, int], film: Path, weights: Path, tmp_path: Path
) -> None:
    rough = {}
    for part in (0.0, 0.5, 1.0):
        animate(PAINTING, film, weights, done[0], CHOICES, BlendSettings(detail=part), architecture=TINY)
        pixels = np.asarray(Pack(done[0]).patch(4).convert("L"), np.float64)
        rough[part] = float(np.abs(np.diff(pixels[150:250, 125:250])).mean())
    assert rough[0.0] < rough[0.5] < rough[1.0]


def test_its_frames_can_be_blended_anew_by_the_engine(done: tuple[Path, int], tmp_path: Path) -> None:
    """They are head frames as any; these show no face, as their weights were never trained."""
    with pytest.raises(UnfitPortrait, match=r"frame_16\.png: no face found"):
        render_from_frames(PAINTING, done[0].with_name("pack-frames"), tmp_path / "again")


def test_wrong_inputs_are_refused_before_the_film_is_watched(
    tmp_path: Path, film: Path, weights: Path
) -> None:
    out = tmp_path / "pack"
    other = tmp_path / "other.mp4"
    other.write_bytes(b"no picture")
    full = tmp_path / "full"
    (full / "of").mkdir(parents=True)
    (tmp_path / "pack-frames").mkdir()
    (tmp_path / "pack-frames" / "holiday.png").touch()
    cases = [
        ((PAINTING, film, weights, out), Choices(frames=4), ConfigError, "frames = 4"),
        ((PAINTING, other, weights, out), None, BadFilm, "no film"),
        ((PAINTING, film, other, out), None, BadModel, "no checkpoint"),
        ((PAINTING, film, weights, full), None, CannotWrite, "is no pack"),
        ((PAINTING, film, weights, out), Choices(place=(0, 0, 5)), UnfitPortrait, "too small"),
        (
            (PAINTING, film, weights, out),
            Choices(place=(900, 0, 512)),
            UnfitPortrait,
            "lies beyond the picture",
        ),
        ((PAINTING, film, weights, out), None, CannotWrite, "is no folder of frames"),
    ]
    for paths, choices, kind, words in cases:
        with pytest.raises(kind, match=words) as caught:
            animate(*paths, choices, architecture=TINY)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "pack-frames" / "holiday.png").exists()


def test_check_driving_says_that_the_film_will_do(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fomm", "check-driving", str(film), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["fit"]
    assert set(report["findings"]) == {"face", "gaze", "eyes", "head", "pace", "steadiness", "lids"}
    assert 15 < report["degrees_to_either_side"] < 25


@pytest.mark.slow
def test_the_command_makes_a_pack_at_the_published_size(
    film: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.save(checkpoint(VOX), tmp_path / "vox.pth.tar", _use_new_zipfile_serialization=False)
    words = ["--source", PAINTING, "--driving", film, "--checkpoint", tmp_path / "vox.pth.tar"]
    assert (
        cli.main(
            [
                "fomm",
                "animate",
                *map(str, words),
                "--frames=3",
                "--size=540x960",
                f"--out={tmp_path / 'pack'}",
            ]
        )
        == 0
    )
    assert "the gaze goes" in capfd.readouterr().err
    pack = Pack(tmp_path / "pack")
    pack.check()
    assert pack.info.title == "La Sconosciuta"
    assert pack.info.main.count == 3


def test_weights_that_give_no_direction_are_refused_in_one_line(
    done: tuple[Path, int], watched: Path, film: Path, tmp_path: Path
) -> None:
    empty = {
        part: {name: torch.zeros_like(value) for name, value in entries.items()}
        for part, entries in checkpoint(TINY).items()
    }
    torch.save(empty, tmp_path / "empty")
    with pytest.raises(BadModel, match="without direction"):
        animate(PAINTING, film, tmp_path / "empty", watched.with_name("other"), CHOICES, architecture=TINY)
