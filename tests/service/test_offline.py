"""What would be lit at each refresh of the screen, in simulated time."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from appliance.bench.gaze import grid_pack
from appliance.bench.gaze_walks import HOPPER, scene
from appliance.camera.base import RgbPicture
from appliance.cli import main
from appliance.config import Config, GazeConfig
from appliance.gaze.target_to_frames import GazeTarget
from appliance.pack import write_pack
from appliance.service.offline import simulate_refreshes
from tests.conftest import base_image, grid_info, grid_patches, small_info

PACK = small_info()
CONFIG = Config()


def pictures(seconds: float, rate: float = 30.0, start: float = 0.0) -> Iterator[RgbPicture]:
    """A face to the left in the picture, from the second second on."""
    empty = np.full((360, 640, 3), 110, np.uint8)
    there = scene(HOPPER, (640, 360), 0.1, (0.25, 0.5))
    for i in range(round(seconds * rate)):
        yield RgbPicture(empty if i / rate < 1 else there, start + i / rate, i)


def rows(
    seconds: float = 2.0, refresh: float = 60.0, latencies: tuple[float, float] = (0.05, 0.015), **more: float
) -> list[dict[str, Any]]:
    return list(simulate_refreshes(pictures(seconds, **more), CONFIG, PACK, refresh, latencies))


def test_a_row_for_each_refresh_up_to_the_last_picture() -> None:
    found = rows(1.0, refresh=50.0)
    assert [row["time"] for row in found] == pytest.approx([i / 50 for i in range(49)])
    assert set(found[0]) == {"time", "angle", "pitch", "frame", "row", "viewer"}


def test_a_row_tells_the_frame_that_is_lit() -> None:
    for row in rows():
        assert row["angle"] == pytest.approx(PACK.main.angles[row["frame"]], abs=1e-3)
        assert (row["pitch"], row["row"]) == (0.0, 0)


def test_a_row_tells_column_and_row_of_a_grid() -> None:
    """The face is 100 mm above the lens, which hangs 500 mm under the sitter's eyes: she looks down."""
    pack, config = grid_pack(), replace(CONFIG, gaze=GazeConfig(camera_up=-500))
    found = list(simulate_refreshes(pictures(2.5), config, pack, 60.0, (0.05, 0.015)))
    for row in found:
        assert row["angle"] == round(pack.main.angles[row["frame"]], 3)
        assert row["pitch"] == pack.main.pitches[row["row"]]
    assert (found[0]["frame"], found[0]["row"]) == (16, 3)
    assert found[-1]["row"] > 5 and found[-1]["frame"] % 2 == 0 and found[-1]["frame"] > 16
    json.dumps(found)


def test_a_face_is_lit_no_sooner_than_its_latencies() -> None:
    moments = {}
    for latencies in ((0.0, 0.0), (0.05, 0.015), (0.2, 0.1)):
        found = rows(latencies=latencies)
        moments[latencies] = next(row["time"] for row in found if row["viewer"] is not None)
        assert moments[latencies] >= 1.0 + sum(latencies) + CONFIG.tracking.display_latency
    assert moments[0.0, 0.0] < moments[0.05, 0.015] < moments[0.2, 0.1]


def test_a_slow_vision_skips_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def counted() -> Iterator[RgbPicture]:
        for picture in pictures(1.0):
            seen.append(picture.captured)
            yield picture

    from appliance.gaze.pictures_to_target import GazeController

    understood = []
    real = GazeController.see

    def see(controller: GazeController, picture: RgbPicture, *rest: Any) -> GazeTarget:
        understood.append(picture.captured)
        return real(controller, picture, *rest)

    monkeypatch.setattr(GazeController, "see", see)
    list(simulate_refreshes(counted(), CONFIG, PACK, 60.0, (0.0, 0.1)))
    assert len(seen) == 30 and 9 <= len(understood) <= 11
    assert understood == sorted(understood)


def test_time_begins_at_the_first_picture() -> None:
    assert rows(start=1000.0) == rows()


def test_the_eyes_find_the_face_and_then_keep_still() -> None:
    found = rows(3.0)
    assert {row["frame"] for row in found if row["time"] < 1.0} == {PACK.main.rest}
    assert len({row["frame"] for row in found if row["time"] > 2.0}) == 1
    assert found[-1]["angle"] > 3


def folder(path: Path, count: int = 8) -> Path:
    path.mkdir()
    for i in range(count):
        Image.fromarray(scene(HOPPER, (640, 360), 0.1, (0.3, 0.5))).save(path / f"{i:02d}.png")
    return path


class TestCommand:
    def test_rows_are_json_lines(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["track", str(folder(tmp_path / "room")), "--json", "--refresh", "60"]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert found[-1]["viewer"] is not None and found[-1]["time"] == pytest.approx(7 / 30, abs=0.02)

    def test_a_line_names_column_and_row_of_the_frame(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The lens hangs 700 mm under her eyes, so that she looks down."""
        write_pack(tmp_path / "grid", grid_info(), base_image(), grid_patches())
        config = tmp_path / "config.toml"
        config.write_text(f'[display]\npack = "{tmp_path / "grid"}"\n[gaze]\ncamera_up = -700\n')
        command = ["track", str(folder(tmp_path / "room")), "--config", str(config)]
        for more in ([], ["--refresh", "30"]):
            assert main([*command, *more, "--json"]) == 0
            row = json.loads(capsys.readouterr().out.splitlines()[-1])
            assert row["row"] == 2 and row["pitch"] < -8 and row["frame"] in grid_info().main.columns(2)
            assert main([*command, *more]) == 0
            line = capsys.readouterr().out.splitlines()[-1]
            where = f"angle {row['angle']}, pitch {row['pitch']}, frame {row['frame']}, row 2"
            assert line.endswith(f": {where}")

    def test_a_picture_of_another_size_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        room = folder(tmp_path / "room")
        Image.new("RGB", (320, 180)).save(room / "99.png")
        for more in ([], ["--refresh", "60"]):
            assert main(["track", str(room), "--json", *more]) == 1
            assert capsys.readouterr().err == (
                f"mona-lisa: {room}/99.png: 320x180; expected 640x360, the size of the first picture\n"
            )

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--refresh", "0"], "argument --refresh: 0; expected a number from 1 to 1,000"),
            (
                ["--refresh", "60", "--camera-latency", "-0.1"],
                "argument --camera-latency: -0.1; expected a number from 0 to 10",
            ),
            (
                ["--refresh", "60", "--vision-latency", "-1"],
                "argument --vision-latency: -1; expected a number from 0 to 10",
            ),
        ],
    )
    def test_a_wrong_number_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
    ) -> None:
        with pytest.raises(SystemExit) as end:
            main(["track", str(tmp_path), *words])
        assert end.value.code == 2 and said in capsys.readouterr().err

    def test_latencies_go_with_refresh(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["track", str(tmp_path), "--vision-latency", "0.1"]) == 2
        assert "go with --refresh HZ" in capsys.readouterr().err


def test_a_key_of_an_earlier_version_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[tracking]\nbeta = 0.5\n")
    assert main(["config", "check", str(file)]) == 2
    assert capsys.readouterr().err == (
        f"mona-lisa: {file}:2: tracking.beta = 0.5; no longer used, because a walking viewer is followed "
        "without a filter: delete the line\n"
    )
