import logging
import random
import tempfile
from pathlib import Path

import pytest

from appliance.config import Config, load_config
from appliance.errors import ConfigError
from appliance.library import current
from appliance.service import settings as module
from appliance.service.settings import Settings

EXAMPLE = Path(module.__file__).parent.parent / "config.toml"


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))


def service(tmp_path: Path, text: str = "", **options: str) -> Settings:
    (tmp_path / "config.toml").write_text(text)
    return Settings(tmp_path / "config.toml", supervised=True, **options)


def again(settings: Settings, text: str | bytes) -> Config | None:
    assert settings.file
    settings.file.write_bytes(text.encode() if isinstance(text, str) else text)
    settings.reread.set()
    return settings.newer()


def test_it_is_read_again_only_when_asked(tmp_path: Path) -> None:
    settings = service(tmp_path, "[camera]\nrate = 20\n")
    assert settings.start().camera.rate == 20
    assert settings.newer() is None
    newer = again(settings, "[camera]\nrate = 25\n")
    assert newer is not None and newer.camera.rate == 25
    assert settings.newer() is None


def test_before_the_start_the_defaults_are_in_force(tmp_path: Path) -> None:
    settings = service(tmp_path, "[camera]\nrate = 20\n")
    assert settings.config == Config()
    assert settings.hanging() == current()


def test_the_command_line_wins_over_the_file_every_time(tmp_path: Path) -> None:
    settings = service(tmp_path, camera="gallery", display="offscreen:lit")
    assert settings.start().camera.source == "gallery"
    newer = again(settings, '[camera]\nsource = "picamera"\n[display]\noutput = "kmsdrm"\n')
    assert newer is not None and newer.camera.source == "gallery" and newer.display.output == "offscreen:lit"


def test_a_wrong_one_keeps_the_one_before_and_is_a_fault_until_it_is_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = service(tmp_path, "[camera]\nrate = 20\n")
    settings.start()
    assert again(settings, "[camera]\nrate = 0\n") is None
    assert "camera.rate = 0; expected" in settings.fault
    assert settings.config.camera.rate == 20
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert line == module.CONFIG_WRONG % (module.STAYS, settings.fault)
    assert again(settings, "[camera]\nrate = 21\n") is not None
    assert settings.fault == ""


def test_a_start_with_a_wrong_one_takes_the_last_right_one(tmp_path: Path) -> None:
    service(tmp_path, "[camera]\nrate = 20\n").start()
    settings = service(tmp_path, "[camera\n")
    assert settings.start().camera.rate == 20
    assert "not TOML" in settings.fault


@pytest.mark.parametrize("copy", [b"", b"[camera]\nrate = 0\n", b"\xff\x00", None])
def test_and_the_defaults_if_there_is_no_right_one(tmp_path: Path, copy: bytes | None) -> None:
    if copy is not None:
        (tmp_path / "state" / module._COPY).write_bytes(copy)
    settings = service(tmp_path, "[camera\n")
    assert settings.start() == Config()
    assert settings.fault


def test_a_run_by_hand_refuses_a_wrong_one(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[camera\n")
    with pytest.raises(ConfigError, match="not TOML"):
        Settings(tmp_path / "config.toml").start()
    assert not list((tmp_path / "state").iterdir())


def test_a_state_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "file" / "state"))
    assert service(tmp_path, "[camera]\nrate = 20\n").start().camera.rate == 20


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        ("[camera]\nrate = 25\n", []),
        ('[display]\npack = "another"\n', []),  # taken up while it runs
        ("[display]\nrotation = 90\n", ["display"]),
        ("[hours]\nfade = 1\n", ["hours"]),
        ("[display]\nrotation = 90\n[hours]\nfade = 1\n", ["display", "hours"]),
    ],
)
def test_what_waits_for_the_next_start_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, sections: list[str]
) -> None:
    settings = service(tmp_path)
    settings.start()
    for _ in range(2):  # the second time nothing has changed
        again(settings, text)
        told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert told == [module.LATER % section for section in sections]


def mutated(text: bytes, rng: random.Random) -> bytes:
    """Hurt a config file as people and cards do: bytes lost, turned, doubled, cut off, swapped."""
    data = bytearray(text)
    for _ in range(rng.randint(1, 6)):
        i, j = sorted(rng.randrange(len(data) + 1) for _ in "ab")
        match rng.randrange(6):
            case 0:
                del data[i : min(j, i + 40)]
            case 1:
                data[i:i] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 5)))
            case 2:
                data[i:i] = data[i : min(j, i + 80)]
            case 3:
                del data[j:]
            case 4:
                data[i:i] = rng.choice(
                    [b"=", b"[", b"]", b'"', b"\n", b"nan", b"-", b"1e999", b"true", b"{}"]
                )
            case _ if data:
                data[i % len(data)] ^= 1 << rng.randrange(8)
    return bytes(data)


def test_ten_thousand_broken_configs_each_leave_a_right_one_in_force(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # thousands of copies would wait for a disk
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        monkeypatch.setenv("STATE_DIRECTORY", folder)
        _ten_thousand(Path(folder), caplog)


def _ten_thousand(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="appliance")
    rng = random.Random(5)
    right = EXAMPLE.read_bytes()
    # Files of a few keys, so that each is hit often; every hundredth is the whole example.
    short = b'[camera]\nrate = 30.0\nwidth = 640\n\n[tracking]\nhold = 1.5\n\n[display]\npack = ""\n'
    settings = service(folder, "")
    in_force = settings.start()
    refused = 0
    for i in range(10_000):
        text = mutated(right if i % 100 == 0 else short, rng)
        newer = again(settings, text)
        assert (newer is None) == bool(settings.fault)
        refused += newer is None
        in_force = newer or in_force
        assert settings.config is in_force
        assert len(settings.fault.splitlines()) <= 1
    assert 2_000 < refused < 9_900
    assert load_config(folder / module._COPY) == in_force
