import hashlib
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from appliance import files
from appliance.errors import AssetUnavailable, CannotWrite
from appliance.files import hold_ctrl_c, new_folder, restore_interrupted, sha256_of, write_atomic


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_written_with_its_folders_and_readable_by_all(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(path.parent) == {"file"}


def test_a_pipe_a_device_and_a_folder_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for path, reason in (
        (tmp_path / "pipe", "no regular file"),
        (tmp_path / "zero", "no regular file"),
        (tmp_path, "no regular file"),
        (tmp_path / "none", "No such file or directory"),
    ):
        for read in (files.open_regular, sha256_of, lambda path: files.read_regular(path, 10)):
            with pytest.raises(OSError, match=reason):
                read(path)


def test_a_reader_sees_the_old_file_or_the_new_one_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([n]) * 200_000 for n in range(2)]
    write_atomic(path, contents[0])
    seen = set()
    writer = threading.Thread(target=lambda: [write_atomic(path, contents[n % 2]) for n in range(40)])
    writer.start()
    while writer.is_alive():
        seen.add(path.read_bytes())
    writer.join()
    assert seen <= set(contents)


def test_a_write_that_fails_half_way_leaves_the_old_file_alone(tmp_path: Path, full_disk: Path) -> None:
    path = full_disk / "file"
    write_atomic(path, b"old")
    with pytest.raises(CannotWrite) as caught:
        write_atomic(path, bytes(10_000_000))
    assert str(caught.value) == f"{path}: cannot be written (File too large)"
    assert path.read_bytes() == b"old"
    assert names(full_disk) == {"file"}


@pytest.fixture
def full_disk(tmp_path: Path) -> Path:
    """A folder in which no file can grow beyond a million bytes."""
    import resource
    import signal

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(
    "write", [lambda path: write_atomic(path, b""), lambda path: new_folder(path).__enter__()]
)
def test_where_nothing_can_be_written_one_line_says_so(tmp_path: Path, write: object) -> None:
    (tmp_path / "file").touch()
    for path, reason in (
        (tmp_path / "file" / "x", "Not a directory|File exists"),
        (Path("/proc/mona-lisa/x"), "No such file or directory"),
    ):
        with pytest.raises(CannotWrite, match=rf"^{path}: cannot be written \(({reason})\)$"):
            write(path)  # type: ignore[operator]


def test_a_new_folder_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "packs" / "portrait"
    mask = os.umask(0o077)  # a careful administrator's; the service is another user
    try:
        with new_folder(path) as new:
            (new / "one").write_text("1")
            assert not path.exists()
    finally:
        os.umask(mask)
    assert names(path) == {"one"}
    assert path.stat().st_mode & 0o777 == 0o755
    assert (path / "one").stat().st_mode & 0o777 == 0o644
    assert names(path.parent) == {"portrait"}


def test_a_new_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "portrait"
    for name in ("old", "new"):
        with new_folder(path) as new:
            (new / name).touch()
    assert names(path) == {"new"}
    assert names(tmp_path) == {"portrait"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_abandoned_folder_leaves_the_old_one_and_no_trace(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "portrait"
    with new_folder(path) as new:
        (new / "old").touch()
    with pytest.raises(error), new_folder(path) as new:
        (new / "new").touch()
        raise error
    assert names(path) == {"old"}
    assert names(tmp_path) == {"portrait"}


def test_an_error_of_the_appliances_own_passes_through_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(AssetUnavailable, match=r"^no wheel$"), new_folder(tmp_path / "portrait"):
        raise AssetUnavailable("no wheel")
    assert names(tmp_path) == set()


def test_a_folder_with_subfolders_is_moved_with_them(tmp_path: Path) -> None:
    with new_folder(tmp_path / "outer") as new:
        (new / "inner").mkdir()
        (new / "inner" / "file").write_text("deep")
    assert (tmp_path / "outer" / "inner" / "file").read_text() == "deep"


def test_after_a_power_cut_in_the_swap_the_old_one_is_restored(tmp_path: Path) -> None:
    path = tmp_path / "portrait"
    with new_folder(path) as new:
        (new / "old").touch()
    path.rename(tmp_path / ".portrait.old")  # where the swap has got to when power is cut
    restore_interrupted(path)
    assert names(path) == {"old"}
    restore_interrupted(path)
    assert names(tmp_path) == {"portrait"}


def test_an_old_folder_left_aside_never_displaces_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "portrait"
    with new_folder(path) as new:
        (new / "new").touch()
    (tmp_path / ".portrait.old").mkdir()
    restore_interrupted(path)
    assert names(path) == {"new"}
    with new_folder(path) as new:
        (new / "newer").touch()
    assert names(path) == {"newer"}
    assert names(tmp_path) == {"portrait"}


def test_a_reader_always_finds_the_old_or_the_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "portrait"
    with new_folder(path) as new:
        (new / "file").touch()
    look = (
        "import sys; from pathlib import Path; from appliance.files import restore_interrupted; path = Path(sys.argv[1])\n"
        "print('looking', flush=True)\n"
        "while not (path.parent / 'enough').exists(): restore_interrupted(path); (path / 'file').stat()"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", look, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with reader:
        assert reader.stdout and reader.stderr
        reader.stdout.readline()
        for _ in range(300):
            with new_folder(path) as new:
                (new / "file").touch()
        (tmp_path / "enough").touch()
        assert reader.stderr.read() == b""


def test_folders_without_exchange_are_swapped_in_two_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        files, "_RENAME_EXCHANGE", 1 << 20
    )  # a flag the kernel does not know, as FAT this one
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    test_a_new_folder_replaces_the_old_one_whole(tmp_path / "one")
    test_an_old_folder_left_aside_never_displaces_the_new_one(tmp_path / "two")


def test_restoring_where_nothing_is_does_nothing(tmp_path: Path) -> None:
    restore_interrupted(tmp_path / "portrait")
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is about to replace the folder `portrait`, and does when told."""
    script = f"""
from pathlib import Path
from appliance.files import new_folder
with new_folder(Path({str(tmp_path / "portrait")!r})) as new:
    (new / "theirs").touch()
    print("drawn", flush=True)
    input()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "drawn\n"
        yield process
        process.kill()


@pytest.mark.parametrize(
    "write", [lambda path: write_atomic(path, b""), lambda path: touch_in(new_folder(path))]
)
def test_the_next_write_deletes_what_a_killed_process_left(
    tmp_path: Path, writer: "subprocess.Popen[str]", write: Callable[[Path], None]
) -> None:
    assert len(names(tmp_path)) == 1
    writer.kill()
    writer.wait()
    write(tmp_path / "another")
    assert len(names(tmp_path)) == 2
    write(tmp_path / "portrait")
    assert names(tmp_path) == {"another", "portrait"}


def test_what_a_living_process_is_writing_is_left_to_it(
    tmp_path: Path, writer: "subprocess.Popen[str]"
) -> None:
    touch_in(new_folder(tmp_path / "portrait"))
    assert names(tmp_path / "portrait") == {"ours"}
    assert writer.stdin is not None
    writer.stdin.write("\n")
    writer.stdin.flush()
    assert writer.wait() == 0
    assert names(tmp_path / "portrait") == {"theirs"}
    assert names(tmp_path) == {"portrait"}


def touch_in(folder: AbstractContextManager[Path]) -> None:
    with folder as new:
        (new / "ours").touch()


def test_hidden_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    for other in (".portrait.previous", ".portrait", ".portrait.b.new-12345678", ".git"):
        (tmp_path / other).mkdir()
    before = names(tmp_path)
    touch_in(new_folder(tmp_path / "portrait"))
    assert names(tmp_path) == before | {"portrait"}


def test_many_writers_of_one_name_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    faults: list[CannotWrite] = []

    def write(content: bytes) -> None:
        for _ in range(30):
            try:
                write_atomic(path, content)
            except CannotWrite as error:
                faults.append(error)

    threads = [threading.Thread(target=write, args=(bytes([n]) * 999,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert len(path.read_bytes()) == 999
    assert names(tmp_path) == {"file"}


def test_ctrl_c_is_held_back_and_then_delivered() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), hold_ctrl_c():
        signal.raise_signal(signal.SIGINT)
        done.append("all")
    assert done == ["all"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_beside_the_main_thread_nothing_is_held_back() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: hold_ctrl_c().__enter__()).result() is None


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"painting" * 100_000)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(b"painting" * 100_000).hexdigest()


def test_a_regular_file_is_read_whole(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000  # more than one block
    (tmp_path / "file").write_bytes(data)
    (tmp_path / "link").symlink_to("file")
    assert files.read_regular(tmp_path / "file", len(data)) == data
    assert files.read_regular(tmp_path / "link", len(data)) == data
    with pytest.raises(OSError, match="2,304,000 bytes, expected at most 2,303,999"):
        files.read_regular(tmp_path / "file", len(data) - 1)


def test_reading_a_very_slow_card_ends_before_the_watchdog(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3 << 20))
    clock = itertools.count(0.0, files.READ_TIMEOUT / 2)  # half the limit for each look at it
    with pytest.raises(OSError, match="not read within 20 s"):
        files.read_regular(tmp_path / "file", 3 << 20, lambda: next(clock))
