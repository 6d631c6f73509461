import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from appliance.assets import home_folder
from appliance.bench import portrait_rendering
from appliance.bench.portrait_rendering import bench_pictures, table
from appliance.cli import main


def test_refused_pictures_have_their_rows_in_sheet_and_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.linear_gradient("L").save(pictures / "sky.png")
    (pictures / "read\nme.txt").write_text("no picture")
    command = ["bench", "portrait", "--pictures", str(pictures), "--out", str(tmp_path / "sheet.png")]
    assert main(command) == 0
    heading, text, sky = capsys.readouterr().out.splitlines()
    assert heading.split()[0] == "picture" and heading.endswith("verdict")
    assert (
        text.startswith("read\\u000ame.txt") and "refused:" in text and "not a whole, readable image" in text
    )
    assert sky.startswith("sky.png") and "no face found" in sky
    assert main([*command, "--json"]) == 0
    assert "no face found" in json.loads(capsys.readouterr().out)["sky.png"]["refused"]
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height > 40


def test_a_folder_without_pictures_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "portrait", "--pictures", str(tmp_path)]) == 2
    assert f"--pictures {tmp_path}: no files there; expected a folder of pictures" in capsys.readouterr().err
    assert main(["bench", "vision", "--pictures", str(tmp_path)]) == 2


@pytest.mark.slow
def test_a_picture_gets_a_row_of_heads_and_eyes_and_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portrait_rendering, "SIZE", (540, 960))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "sitter.png").write_bytes((home_folder() / "frames" / "sconosciuta.png").read_bytes())
    found = bench_pictures(tmp_path / "in", tmp_path / "sheet.png", lambda line: None)
    assert found["sitter.png"]["verdict"] == "hang"
    assert table(found)[1].startswith("sitter.png") and table(found)[1].endswith("hang it")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert np.asarray(sheet.convert("L").resize((10, 10))).max() > 60
