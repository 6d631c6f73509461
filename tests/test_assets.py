import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest

from appliance.assets import (
    MANIFESTS,
    Asset,
    asset_fault,
    fetch_assets,
    home_folder,
    load_assets,
    model_path,
    photograph_path,
)
from appliance.cli import main
from appliance.errors import AssetUnavailable, BadAsset, BadManifest, CannotWrite

CONTENTS = {"eye.tflite": b"an eye", "ear.tflite": b"an ear"}
WHEEL = "toy-1.0-cp311-cp311-manylinux2014_x86_64.whl"


def wheel(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
        archive.writestr("toy-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
        archive.writestr(
            "toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux2014_x86_64\n"
        )
        archive.writestr("toy-1.0.dist-info/RECORD", "")
    return buffer.getvalue()


def table(header: str, /, **keys: object) -> str:
    return (
        "\n".join([f"[[{header}]]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]) + "\n"
    )


def pin(data: bytes) -> dict[str, object]:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


class Shop:
    """A home with a manifest of two models in one toy wheel, and a folder that sells it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "home"
        self.wheels = folder / "wheels"
        self.wheels.mkdir(parents=True)
        self.said: list[str] = []
        self.data = wheel({f"toy/{name}": data for name, data in CONTENTS.items()})
        (self.wheels / WHEEL).write_bytes(self.data)
        self.manifest = self.root / "models" / "manifest.toml"
        self.manifest.parent.mkdir(parents=True)
        self.write(self.text())
        (self.root / "frames").mkdir()
        (self.root / "frames" / "portraits.toml").write_text("")

    def text(self) -> str:
        text = table(
            "wheel",
            name="toy",
            version="1.0",
            python="311",
            platform="manylinux2014_x86_64",
            file=WHEEL,
            **pin(self.data),
        )
        for name, data in CONTENTS.items():
            keys = {
                "name": name,
                "what": "a toy",
                "wheel": "toy",
                "member": f"toy/{name}",
                "licence": "CC0-1.0",
            }
            text += table("file", **keys, **pin(data))
        return text

    def write(self, text: str) -> None:
        self.manifest.write_text(text)

    def sell(self, members: dict[str, bytes]) -> None:
        """Sell another wheel, and pin it."""
        self.data = wheel(members)
        (self.wheels / WHEEL).write_bytes(self.data)
        self.write(self.text())

    def assets(self) -> list[Asset]:
        return load_assets(self.root)

    def fetch(self, source: Path | None) -> None:
        fetch_assets(self.assets(), source, self.said.append)

    def fetched(self) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in self.manifest.parent.iterdir() if p != self.manifest}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_files_come_out_of_a_folder_of_wheels(shop: Shop) -> None:
    shop.fetch(shop.wheels)
    assert shop.fetched() == CONTENTS
    assert [asset_fault(asset) for asset in shop.assets()] == [None, None]
    assert shop.said == [
        f"{WHEEL}: 0.0 MB from {shop.wheels}",
        "eye.tflite: 6 bytes, right",
        "ear.tflite: 6 bytes, right",
    ]


def test_what_is_right_is_left_alone_and_what_is_wrong_is_mended(shop: Shop) -> None:
    shop.fetch(shop.wheels)
    eye, ear = (shop.manifest.parent / name for name in CONTENTS)
    ear.write_bytes(b"an err")
    before = eye.stat()
    shop.said.clear()
    shop.fetch(shop.wheels)
    assert shop.said == [
        "eye.tflite: already there",
        f"{WHEEL}: 0.0 MB from {shop.wheels}",
        "ear.tflite: 6 bytes, right",
    ]
    assert eye.stat() == before
    assert shop.fetched() == CONTENTS


def test_when_all_is_right_no_wheel_is_needed(shop: Shop, tmp_path: Path) -> None:
    shop.fetch(shop.wheels)
    shop.said.clear()
    shop.fetch(tmp_path / "nowhere")
    assert shop.said == ["eye.tflite: already there", "ear.tflite: already there"]


def test_pip_takes_the_wheel_for_any_platform(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shop.wheels))
    shop.fetch(None)
    assert shop.fetched() == CONTENTS
    assert shop.said[0] == f"{WHEEL}: 0.0 MB from the package index"


def test_without_a_network_one_line_says_what_to_do(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(AssetUnavailable) as caught:
        shop.fetch(None)
    assert str(caught.value) == (
        "toy 1.0: cannot be fetched (ERROR: No matching distribution found for toy==1.0); "
        f"check the network, or put {WHEEL} into a folder and give it with --from"
    )
    assert shop.fetched() == {}


def refused(shop: Shop) -> str:
    """Fetch in vain: the old file stays, nothing new is left behind."""
    old = {"eye.tflite": b"an old eye"}
    (shop.manifest.parent / "eye.tflite").write_bytes(old["eye.tflite"])
    with pytest.raises((BadAsset, AssetUnavailable)) as caught:
        shop.fetch(shop.wheels)
    assert shop.fetched() == old
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_wheel_that_is_not_in_the_folder_is_named(shop: Shop) -> None:
    (shop.wheels / WHEEL).unlink()
    assert (
        refused(shop)
        == f"{shop.wheels / WHEEL}: no such wheel, or not readable; expected toy 1.0 in that folder"
    )


def test_a_wheel_of_another_size_or_hash_is_refused(shop: Shop) -> None:
    path = shop.wheels / WHEEL
    path.write_bytes(shop.data + b"!")
    assert refused(shop) == f"{path}: {len(shop.data) + 1:,} bytes, expected {len(shop.data):,}"
    path.write_bytes(shop.data[:-1] + b"!")
    found, expected = (hashlib.sha256(data).hexdigest() for data in (path.read_bytes(), shop.data))
    assert refused(shop) == f"{path}: SHA-256 {found}, expected {expected}"


def test_a_member_of_another_size_or_hash_is_refused(shop: Shop) -> None:
    shop.sell({"toy/eye.tflite": b"an eyes", "toy/ear.tflite": b"an ear"})
    assert refused(shop) == f"{WHEEL}: toy/eye.tflite: 7 bytes, expected 6"
    shop.sell({"toy/eye.tflite": b"an egg", "toy/ear.tflite": b"an ear"})
    found, expected = (hashlib.sha256(data).hexdigest() for data in (b"an egg", b"an eye"))
    assert refused(shop) == f"{WHEEL}: toy/eye.tflite: SHA-256 {found}, expected {expected}"


def test_a_member_that_is_missing_is_named(shop: Shop) -> None:
    for name, other in (("eye", "ear"), ("ear", "eye")):
        shop.sell({f"toy/{other}.tflite": CONTENTS[f"{other}.tflite"]})
        assert refused(shop) == f"{WHEEL}: no member toy/{name}.tflite"


def test_a_pinned_file_that_is_no_wheel_is_named(shop: Shop) -> None:
    shop.data = b"not a zip"
    (shop.wheels / WHEEL).write_bytes(shop.data)
    shop.write(shop.text())
    assert refused(shop) == f"{WHEEL}: not a wheel (File is not a zip file)"


def test_a_pinned_wheel_that_is_damaged_inside_is_named(shop: Shop) -> None:
    data = bytearray(shop.data)
    data[data.index(b"an eye")] ^= 1  # the member's own checksum is wrong then
    shop.data = bytes(data)
    (shop.wheels / WHEEL).write_bytes(shop.data)
    shop.write(shop.text())
    assert refused(shop).startswith(f"{WHEEL}: not a wheel (Bad CRC-32")


def test_a_folder_that_cannot_be_written_is_named(shop: Shop) -> None:
    asset = shop.assets()[0]
    (shop.root / "file").touch()
    blocked = Asset(
        **{name: getattr(asset, name) for name in asset.__slots__} | {"folder": shop.root / "file"}
    )
    with pytest.raises(CannotWrite, match=r"file/eye.tflite: cannot be written \(.+\)$"):
        fetch_assets([blocked], shop.wheels, shop.said.append)


def test_faults_are_told_with_the_way_to_mend_them(shop: Shop) -> None:
    asset = shop.assets()[0]
    assert asset_fault(asset) == f"{asset.path}: No such file or directory; run `mona-lisa assets fetch`"
    asset.path.write_bytes(b"an eyelid")
    assert asset_fault(asset) == f"{asset.path}: 9 bytes, expected 6; run `mona-lisa assets fetch`"
    asset.path.write_bytes(b"an egg")
    assert str(asset_fault(asset)).endswith(f"expected {asset.sha256}; run `mona-lisa assets fetch`")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('version = "1.0"\n', "", "toy: version missing; expected text"),
        (
            'version = "1.0"',
            'version = "1.0"\nspeed = 3',
            "toy: speed = 3; unknown key, expected one of name, version",
        ),
        ('member = "toy/eye.tflite"\n', "", "eye.tflite: member missing; expected text"),
        ('wheel = "toy"\n', "", "eye.tflite: wheel missing; expected a [[wheel]]"),
        ('wheel = "toy"', 'wheel = "tay"', 'eye.tflite: wheel = "tay"; expected a [[wheel]]'),
        ('wheel = "toy"', "wheel = []", "eye.tflite: wheel = []; expected a [[wheel]]"),
        ("size = 6", 'size = "6"', 'eye.tflite: size = "6"; expected a whole number'),
        ('licence = "CC0-1.0"', "licence = 0", "eye.tflite: licence = 0; expected text"),
        ('name = "eye.tflite"', 'name = "../eye.tflite"', "../eye.tflite: expected the name of a file"),
        ("[[file]]", "[file]", ""),
    ],
)
def test_a_manifest_that_is_wrong_is_named(shop: Shop, old: str, new: str, message: str) -> None:
    text = shop.text()
    assert old in text
    shop.write(text.replace(old, new, 1))
    with pytest.raises(BadManifest) as caught:
        shop.assets()
    assert str(caught.value).startswith(f"{shop.manifest}: {message}")


@pytest.mark.parametrize("content", [b"[[file]", b"\xff", b"file = 3", b"file = [3]", b"[wheel]\nname = 3"])
def test_a_manifest_that_is_no_manifest_is_named(shop: Shop, content: bytes) -> None:
    shop.manifest.write_bytes(content)
    with pytest.raises(BadManifest, match=rf"^{shop.manifest}: "):
        shop.assets()


def test_a_missing_manifest_is_named(shop: Shop) -> None:
    shop.manifest.unlink()
    with pytest.raises(BadManifest, match=rf"^{shop.manifest}: cannot be read \(.+\)$"):
        shop.assets()


def test_models_and_photographs_lie_in_the_home_that_is_set(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONA_LISA_HOME", str(shop.root))
    assert home_folder() == shop.root
    with pytest.raises(BadAsset, match=r"models/eye.tflite: missing; run `mona-lisa assets fetch`$"):
        model_path("eye.tflite")
    shop.fetch(shop.wheels)
    assert model_path("eye.tflite").read_bytes() == b"an eye"
    with pytest.raises(BadAsset, match=r"frames/face.png: missing; run `mona-lisa assets fetch`$"):
        photograph_path("face.png")


def test_every_file_is_as_the_projects_manifests_pin_it() -> None:
    assets = load_assets()
    assert (
        {asset.path.parent.name for asset in assets}
        == {"models", "frames"}
        == {Path(name).parent.name for name in MANIFESTS}
    )
    assert [asset_fault(asset) for asset in assets] == [None] * len(assets)
    assert all(len(asset.sha256) == len(asset.wheel.sha256) == 64 for asset in assets)
    assert all(asset.licence for asset in assets)


def test_a_screens_machine_needs_no_photographs_of_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = home_folder()
    (tmp_path / "frames").mkdir()
    for name in ("models", *MANIFESTS):
        if not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(home / name)
    monkeypatch.setenv("MONA_LISA_HOME", str(tmp_path))
    assert main(["assets", "verify"]) == 1
    assert "astronaut.png" in capsys.readouterr().err
    assert main(["assets", "verify", "--models"]) == 0
    assert main(["assets", "fetch", "--models", "--from", str(tmp_path / "no wheels")]) == 0
    told = capsys.readouterr()
    assert "astronaut" not in told.out + told.err
    assert f"models are in {tmp_path}" in told.err
    assert 'assets "$models" --models' in (home / "deploy/lib/release.sh").read_text()
