"""Whatever picture people feed to the engine ends in a pack or in a clear refusal."""

import re
from pathlib import Path

import pytest
from PIL import Image

from appliance.assets import photograph_path
from appliance.errors import ApplianceError, UnfitPortrait
from appliance.pack import Pack
from appliance.portrait.evaluate import evaluate_pack
from appliance.portrait.painting_to_pack import render
from tests.portrait.odd import EITHER, REFUSED, beside

SIZE = (180, 320)


@pytest.mark.slow
def test_forty_odd_pictures_end_in_a_pack_or_in_a_clear_refusal(tmp_path: Path) -> None:
    with Image.open(photograph_path("astronaut.png")) as image:
        photo = image.convert("RGB")
    for name, (made, reason) in REFUSED.items():
        made(photo).save(tmp_path / "odd.png")
        with pytest.raises(UnfitPortrait) as refusal:
            render(tmp_path / "odd.png", tmp_path / "pack", 3, SIZE, rows=1)
        assert re.search(reason, str(refusal.value)), (name, str(refusal.value))
        (tmp_path / "pack-faces.png").unlink(missing_ok=True)
        assert [path.name for path in tmp_path.iterdir()] == ["odd.png"], name
    packs = 0
    for made in EITHER.values():
        picture = made(photo)
        file = tmp_path / ("odd.tif" if picture.mode == "CMYK" else "odd.png")
        picture.save(file)
        try:
            render(file, tmp_path / "pack", 3, SIZE, rows=1)
        except ApplianceError as refusal:
            named = file.name in str(refusal)
        else:
            packs += 1
            named = Pack(tmp_path / "pack").info.source == file.name
        assert named
    assert len(REFUSED) + len(EITHER) > 40
    assert packs > 12


@pytest.mark.slow
def test_one_of_two_faces_is_chosen(tmp_path: Path) -> None:
    with Image.open(photograph_path("astronaut.png")) as image:
        beside(image.convert("RGB")).save(tmp_path / "two.png")
    left = render(tmp_path / "two.png", tmp_path / "left", 3, choose=1, rows=1)
    right = render(tmp_path / "two.png", tmp_path / "right", 3, choose=2, rows=1)
    assert left.main.box[2] < 512 < right.main.box[0]
    with pytest.raises(UnfitPortrait, match="--face 3: 2 found"):
        render(tmp_path / "two.png", tmp_path / "none", 3, choose=3, rows=1)


@pytest.mark.slow
def test_a_pack_of_one_of_two_faces_is_measured(tmp_path: Path) -> None:
    with Image.open(photograph_path("astronaut.png")) as image:
        beside(image.convert("RGB")).save(tmp_path / "two.png")
    render(tmp_path / "two.png", tmp_path / "right", 3, choose=2, rows=1)
    found = evaluate_pack(tmp_path / "right")
    assert found["neutral_exact"] and found["changed_outside"] == 0
    assert min(found["iris_travel_percent"]) > 15
    assert found["cpu_seconds"] > 0


def test_a_large_jpeg_is_reduced_while_it_is_read(tmp_path: Path) -> None:
    with Image.open(photograph_path("astronaut.png")) as image:
        image.convert("RGB").resize((6000, 6000), Image.Resampling.NEAREST).save(tmp_path / "large.jpg")
    info = render(tmp_path / "large.jpg", tmp_path / "pack", 3, (270, 480))
    assert info.size == (270, 480)
