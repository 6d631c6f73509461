from pathlib import Path

import numpy as np
import pytest

from appliance.errors import CannotWrite
from appliance.fomm.animate import Arrays, Job

FRAME, MOTION = np.zeros((8, 8, 3), np.uint8), np.ones((2, 2, 3), np.float32)


def test_what_was_made_is_recalled_and_not_made_again(tmp_path: Path) -> None:
    def make() -> Arrays:
        return {"a": np.arange(3)}

    def never() -> Arrays:
        raise AssertionError

    np.testing.assert_array_equal(Job(tmp_path / "job", {"x": 1}, print).arrays("n", make)["a"], [0, 1, 2])
    np.testing.assert_array_equal(Job(tmp_path / "job", {"x": 1}, print).arrays("n", never)["a"], [0, 1, 2])


def test_arrays_damaged_meanwhile_are_made_again(tmp_path: Path) -> None:
    def make() -> Arrays:
        return {"a": np.arange(300)}

    kept = tmp_path / "job" / "n.npz"
    Job(tmp_path / "job", {}, print).arrays("n", make)
    whole = kept.read_bytes()
    for damaged in (b"", b"no arrays", whole[:-9], whole[:100], whole[:90] + b"\xff" * 9 + whole[99:]):
        kept.write_bytes(damaged)
        np.testing.assert_array_equal(Job(tmp_path / "job", {}, print).arrays("n", make)["a"], np.arange(300))
        assert kept.read_bytes() == whole


def test_a_frame_is_there_when_both_its_files_are_whole(tmp_path: Path) -> None:
    job = Job(tmp_path / "job", {}, print)
    assert not job.has_frame(0)
    job.keep_frame(0, FRAME, MOTION)
    assert job.has_frame(0)
    np.testing.assert_array_equal(job.motion(0), MOTION)
    motion = tmp_path / "job" / "motion_00.npy"
    motion.write_bytes(motion.read_bytes()[:-1])
    assert not job.has_frame(0)
    motion.unlink()
    assert not job.has_frame(0)


def test_other_inputs_begin_anew_and_leave_other_files(tmp_path: Path) -> None:
    said: list[str] = []
    job = Job(tmp_path / "job", {"x": 1}, print)
    job.keep_frame(0, FRAME, MOTION)
    (tmp_path / "job" / "notes.txt").touch()
    assert not Job(tmp_path / "job", {"x": 2}, said.append).has_frame(0)
    assert len(said) == 1
    assert "beginning anew" in said[0]
    assert sorted(path.name for path in (tmp_path / "job").iterdir()) == ["job.json", "notes.txt"]


def test_what_a_killed_run_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    Job(tmp_path, {}, print)
    (tmp_path / ".frame_03.png.new-x1y2").mkdir()
    (tmp_path / ".frame_03.png.new-x1y2" / "frame_03.png").write_bytes(b"half")
    Job(tmp_path, {}, print)
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").touch()
    with pytest.raises(CannotWrite, match="is no folder of frames"):
        Job(tmp_path, {}, print)
    with pytest.raises(CannotWrite, match="is no folder of frames"):
        Job(tmp_path / "holiday.png", {}, print)
