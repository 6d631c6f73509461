"""Checkpoints: the published ones load as they are; nothing else does, and nothing in a file ever runs."""

import copy
import os
import pickle
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from appliance.errors import BadModel
from appliance.fomm.network import load_checkpoint
from tests.fomm.recipe import TINY, checkpoint, pictures

# The networks' entries by name; wrong files have anything in their place.
Weights = dict[str, Any]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return checkpoint(TINY)


@pytest.fixture
def entries(weights: Weights) -> Weights:
    return copy.deepcopy(weights)


def save(path: Path, content: object, legacy: bool = True) -> Path:
    """Write a file as PyTorch did before 1.6, when the published ones were made, or as it does now."""
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def refused(path: Path) -> str:
    with pytest.raises(BadModel) as caught:
        load_checkpoint(path, TINY)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    return said


def key_points(path: Path) -> torch.Tensor:
    picture = torch.from_numpy(pictures(TINY.side)["source"] / 255).permute(2, 0, 1)[None].float()
    value: torch.Tensor = load_checkpoint(path, TINY).kp_detector(picture).value
    return value


class Evil:
    """What a malicious file holds: a call that is made when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def test_a_whole_training_checkpoint_in_the_old_layout_loads(tmp_path: Path, entries: Weights) -> None:
    parameters = [torch.nn.Parameter(torch.ones(3))]
    adam = torch.optim.Adam(parameters)
    parameters[0].grad = torch.ones(3)
    adam.step()
    published = {
        **entries,
        "discriminator": {"discs.1.conv.bias": torch.zeros(64)},
        **{f"optimizer_{part}": adam.state_dict() for part in ("generator", "discriminator", "kp_detector")},
        "epoch": 100,
    }
    whole = key_points(save(tmp_path / "vox-cpk.pth.tar", published))
    stripped = key_points(save(tmp_path / "stripped", entries, legacy=False))
    torch.testing.assert_close(whole, stripped, rtol=0, atol=0)


def test_multi_gpu_prefixes_and_missing_counters_do_no_harm(tmp_path: Path, entries: Weights) -> None:
    plain = key_points(save(tmp_path / "plain", entries))
    other = {
        part: {f"module.{n}": v for n, v in values.items() if not n.endswith("num_batches_tracked")}
        for part, values in entries.items()
    }
    torch.testing.assert_close(key_points(save(tmp_path / "other", other)), plain, rtol=0, atol=0)


def test_entries_missing_unknown_and_misshapen_are_named(tmp_path: Path, entries: Weights) -> None:
    del entries["generator"]["final.bias"]
    entries["generator"]["first.conv.weight"] = torch.zeros(64, 3, 7, 7)
    entries["kp_detector"]["extra"] = torch.zeros(1)
    said = refused(save(tmp_path / "c", entries))
    assert "generator.final.bias is missing" in said
    assert "generator.first.conv.weight is 64x3x7x7, expected 8x3x7x7" in said
    assert "kp_detector.extra is unknown" in said


def test_many_faults_are_counted(tmp_path: Path, entries: Weights) -> None:
    entries["kp_detector"] = {}
    said = refused(save(tmp_path / "c", entries))
    assert said.count("is missing") == 3
    assert " more; expected vox-cpk" in said


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (torch.full((3,), float("nan")), "holds numbers that are not finite"),
        (torch.zeros(3, dtype=torch.int64), "is int64, expected float32"),
        (torch.full((3,), 1e300, dtype=torch.float64), "holds numbers that are not finite"),
        (torch.zeros(3, dtype=torch.complex64), "is complex64, expected float32"),
        (torch.zeros(3).to(torch.float8_e4m3fn), "is float8_e4m3fn, expected float32"),
        (torch.zeros(3).to_sparse(), "is no ordinary tensor, expected float32"),
        (torch.zeros(3, device="meta"), "is no ordinary tensor, expected float32"),
        (torch.zeros(1).expand(10**11), "is 100000000000, expected 3"),
        ("text", "is str, expected float32"),
    ],
)
def test_entries_that_are_no_weights_are_named(
    tmp_path: Path, entries: Weights, value: object, fault: str
) -> None:
    entries["generator"]["final.bias"] = value
    assert f"generator.final.bias {fault}" in refused(save(tmp_path / "c", entries, legacy=False))


def test_variances_below_zero_are_named(tmp_path: Path, entries: Weights) -> None:
    entries["generator"]["first.norm.running_var"][3] = -1
    assert "first.norm.running_var holds variances below 0" in refused(save(tmp_path / "c", entries))


@pytest.mark.parametrize(
    ("key", "shown"),
    [("two\nlines", r"two\nlines"), ("\x1b[31mred", r"\x1b[31mred"), ("k" * 10**6, "k" * 90), (7, "a int")],
)
def test_a_name_is_shown_on_one_line_whatever_it_holds(
    tmp_path: Path, entries: Weights, key: object, shown: str
) -> None:
    entries["generator"][key] = torch.zeros(1)
    for content in (entries, {key: 1}):
        said = refused(save(tmp_path / "c", content))
        assert shown in said
        assert said.isprintable()
        assert len(said) < len(str(tmp_path)) + 300


def test_another_model_is_refused_by_what_it_holds(tmp_path: Path) -> None:
    said = refused(save(tmp_path / "c", {"state_dict": {}, "epoch": 3}))
    assert "holds keys epoch, state_dict" in said
    assert "holds list" in refused(save(tmp_path / "d", [1, 2]))


@pytest.mark.parametrize("legacy", [True, False], ids=["old-layout", "zip"])
def test_a_file_that_carries_code_is_refused_and_nothing_runs(
    tmp_path: Path, entries: Weights, legacy: bool
) -> None:
    mark = tmp_path / "it-ran"
    entries["epoch"] = Evil(mark)
    path = save(tmp_path / "c", entries, legacy)
    assert "carries code (posix.system)" in refused(path)
    assert not mark.exists()


def test_a_bare_pickle_with_code_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        mark, path = tmp_path / "it-ran", tmp_path / f"c{protocol}"
        path.write_bytes(pickle.dumps(Evil(mark), protocol))
        refused(path)
        assert not mark.exists()


@pytest.mark.parametrize(
    "program",
    [b"cos\nsystem\n(S'%s'\ntR.", b"(S'%s'\nios\nsystem\n.", b"(cos\nsystem\nS'%s'\no."],
    ids=["reduce", "inst", "obj"],
)
@pytest.mark.parametrize("layout", ["bare", "old-layout", "zip"])
def test_a_program_written_by_hand_is_refused_and_nothing_runs(
    tmp_path: Path, program: bytes, layout: str
) -> None:
    mark, path = tmp_path / "it-ran", tmp_path / "c"
    data = program % f"touch {mark}".encode()
    if layout == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", data)
            archive.writestr("archive/version", "3")
    else:
        head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]
        old = b"".join(pickle.dumps(part, 2) for part in head)
        path.write_bytes((old if layout == "old-layout" else b"") + data)
    refused(path)
    assert not mark.exists()
    pickle.loads(data)  # it would have run
    assert mark.exists()


def test_a_compressed_archive_is_refused_unread(tmp_path: Path, entries: Weights) -> None:
    entries["epoch"] = torch.zeros(10**7)
    whole, packed = save(tmp_path / "c", entries, legacy=False), tmp_path / "packed"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    load_checkpoint(whole, TINY)
    assert "compressed, which PyTorch never writes" in refused(packed)


@pytest.mark.parametrize("claimed", [10**10, 10**13, -5])
def test_a_claim_of_more_than_the_file_holds_is_refused(tmp_path: Path, claimed: int) -> None:
    path = save(tmp_path / "c", {"generator": {"w": torch.zeros(7)}, "kp_detector": {}})
    data = path.read_bytes().replace(b"K\x07", b"\x8a\x08" + claimed.to_bytes(8, "little", signed=True))
    path.write_bytes(data)
    refused(path)


def test_an_archive_around_a_checkpoint_is_refused(tmp_path: Path, entries: Weights) -> None:
    inner = save(tmp_path / "c", entries)
    with tarfile.open(tmp_path / "c.tar", "w") as archive:
        archive.add(inner, "vox-cpk.pth")
    assert "an archive or a program" in refused(tmp_path / "c.tar")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.write(inner, "vox-cpk.pth")
    refused(tmp_path / "c.zip")


def test_the_evil_file_would_have_run(tmp_path: Path) -> None:
    """The tests above can fail: the same bytes, unpickled as the official code does, do leave a mark."""
    mark = tmp_path / "it-ran"
    pickle.loads(pickle.dumps(Evil(mark)))
    assert mark.exists()


@pytest.mark.parametrize("legacy", [True, False], ids=["old-layout", "zip"])
def test_a_file_cut_short_is_refused(tmp_path: Path, entries: Weights, legacy: bool) -> None:
    data = save(tmp_path / "whole", entries, legacy).read_bytes()
    path = tmp_path / "cut"
    for part in (0.0, 0.00001, 0.01, 0.1, 0.5, 0.9, 0.999):
        path.write_bytes(data[: int(part * len(data))])
        refused(path)


@pytest.mark.parametrize(
    "data", [b"", b"not a checkpoint\n", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"\x80\x02.", bytes(5000)]
)
def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "c").write_bytes(data)
    refused(tmp_path / "c")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none")
    refused(tmp_path)


def test_flipped_bytes_never_end_in_anything_but_one_line(tmp_path: Path, entries: Weights) -> None:
    data = bytearray(save(tmp_path / "c", entries).read_bytes())
    dice = random.Random(7)
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(3):
            # Mostly in the first tenth: names, shapes and the program that puts them together.
            broken[dice.randrange(len(data) // dice.choice((1, 10, 10)))] = dice.randrange(256)
        (tmp_path / "broken").write_bytes(broken)
        said = ""
        try:
            load_checkpoint(tmp_path / "broken", TINY)
        except BadModel as error:
            said = str(error)
        assert "\n" not in said
