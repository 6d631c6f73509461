import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import library
from appliance.assets import load_portraits
from appliance.display.compiled_pack import CompiledPack
from appliance.errors import ApplianceError, BadCache, BadPack, CannotWrite
from appliance.files import as_owner, new_folder, owner_of, remove_abandoned, write_atomic
from appliance.pack import Pack, write_pack
from appliance.portrait.painting_to_pack import install_portrait
from appliance.service.support_archive import write_bundle
from tests.conftest import SERVICE, base_image, small_info, small_patches

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another")


@pytest.fixture
def roots_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_whoever_can_turn_the_way_elsewhere_is_its_owner(service_folder: Path, roots_folder: Path) -> None:
    (service_folder / "roots").mkdir()
    (roots_folder / "theirs").symlink_to(service_folder)
    (roots_folder / "planted").symlink_to("/etc")
    os.chown(roots_folder / "planted", SERVICE, SERVICE, follow_symlinks=False)
    assert owner_of(roots_folder) == owner_of(Path("/etc")) == 0
    assert owner_of(service_folder) == owner_of(service_folder / "roots" / "missing" / "too") == SERVICE
    assert owner_of(roots_folder / "theirs" / "roots") == SERVICE
    assert owner_of(roots_folder / "planted" / "ssl") == SERVICE
    roots_folder.chmod(0o700)
    assert owner_of(roots_folder / "planted") == 0, "nobody else gets there"


def test_root_has_its_rights_again_even_after_an_error(service_folder: Path, secrets: Path) -> None:
    with pytest.raises(RuntimeError), as_owner(service_folder):
        with as_owner(secrets), pytest.raises(PermissionError):
            (secrets / "key").read_text()
        (service_folder / "file").touch()
        raise RuntimeError
    assert (secrets / "key").read_text() == "secret"
    found = (service_folder / "file").stat()
    assert found.st_uid == SERVICE and found.st_gid != 0


def test_what_roots_groups_may_read_the_service_may_not(service_folder: Path, secrets: Path) -> None:
    (secrets / "key").chmod(0o640)
    os.setgroups([0])
    with as_owner(service_folder), pytest.raises(PermissionError):
        (secrets / "key").read_text()


def test_another_thread_keeps_roots_rights_meanwhile(service_folder: Path, secrets: Path) -> None:
    read, inside = [], threading.Event()

    def work() -> None:
        inside.wait()
        read.append((secrets / "key").read_text())

    thread = threading.Thread(target=work)
    thread.start()
    with as_owner(service_folder):
        inside.set()
        thread.join()
    assert read == ["secret"]


def test_what_root_writes_in_a_users_folder_is_that_users(service_folder: Path) -> None:
    write_atomic(service_folder / "new" / "file", b"text")
    with new_folder(service_folder / "portrait") as new, as_owner(new):
        (new / "part").touch()
    for made in ("new", "new/file", "portrait", "portrait/part"):
        assert (service_folder / made).stat().st_uid == SERVICE


def test_root_writes_through_no_folder_that_a_user_redirected(service_folder: Path, secrets: Path) -> None:
    (service_folder / "away").symlink_to(secrets)
    with pytest.raises(CannotWrite, match="Permission denied"):
        write_atomic(service_folder / "away" / "key", b"")
    with pytest.raises(CannotWrite, match="Permission denied"), new_folder(service_folder / "away" / "new"):
        pass
    assert [path.name for path in secrets.iterdir()] == ["key"]
    assert (secrets / "key").read_text() == "secret"


def test_root_does_not_replace_a_pack_that_a_users_link_names(service_folder: Path, secrets: Path) -> None:
    (secrets / "pack.toml").touch()
    (service_folder / "portrait").symlink_to(secrets)
    with pytest.raises(CannotWrite):
        write_pack(service_folder / "portrait", small_info(), base_image(), small_patches())
    assert (secrets / "key").read_text() == "secret"


def test_what_a_link_names_is_not_taken_for_abandoned(service_folder: Path, secrets: Path) -> None:
    os.mkfifo(service_folder / ".x.new-fifo")
    (service_folder / ".x.new-link").symlink_to(secrets)
    remove_abandoned(service_folder.iterdir())
    assert (secrets / "key").exists() and len(list(service_folder.iterdir())) == 2


def test_root_hangs_a_portrait_with_the_services_rights(
    service_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(service_folder))
    write_pack(service_folder / "duchess", small_info(), base_image(), small_patches())
    library.hang_portrait("duchess")
    assert (service_folder / "current").lstat().st_uid == SERVICE
    assert library.current_folder() == service_folder / "duchess"
    assert Pack(library.current_folder()).info == small_info()


@pytest.mark.parametrize("name", ["pack.toml", "base.png"])
def test_root_reads_no_file_of_its_own_for_a_portrait(service_folder: Path, secrets: Path, name: str) -> None:
    write_pack(service_folder / "duchess", small_info(), base_image(), small_patches())
    (service_folder / "duchess" / name).unlink()
    (service_folder / "duchess" / name).symlink_to(secrets / "key")
    with pytest.raises(BadPack, match="Permission denied"):
        Pack(service_folder / "duchess").check()


def test_root_takes_no_compiled_file_that_only_root_may_read(service_folder: Path, secrets: Path) -> None:
    (service_folder / "duchess.lit").symlink_to(secrets / "key")
    with pytest.raises(BadCache, match="Permission denied"):
        CompiledPack(service_folder / "duchess.lit", None)


def as_service(work: Callable[[], object]) -> str:
    """Return what work says that the service's user does, in a process of its own."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        told = "another error"
        try:
            os.setgroups([])
            os.setgid(SERVICE)
            os.setuid(SERVICE)
            told = str(work())
        except (ApplianceError, OSError) as error:
            told = str(error)
        finally:
            os.write(writer, told.encode())
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as heard:
        return heard.read()


def test_without_the_right_to_write_nothing_is_begun(
    roots_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library_of_root = roots_folder / "library"
    write_pack(library_of_root / "duchess", small_info(), base_image(), small_patches())
    monkeypatch.setenv("STATE_DIRECTORY", str(library_of_root))
    library.hang_portrait("duchess")
    sudo = f"cannot be written (this user may not write in {library_of_root}; run it with sudo)"
    load_portraits()  # loads what the service's user could not, where Python is root's own
    told = as_service(lambda: install_portrait("sconosciuta", (270, 480), pytest.fail))
    assert told == f"{library_of_root / 'sconosciuta'}: {sudo}"
    told = as_service(lambda: library.hang_portrait("duchess"))
    assert told == f"{library_of_root / 'current'}: {sudo}"
    told = as_service(lambda: write_bundle(library_of_root / "logs.tar.gz", []))
    assert told == f"{library_of_root / 'logs.tar.gz'}: {sudo}"
