import logging
import random
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest

from appliance.config import CALIBRATION_FILE, CARD_FILE, CONFIG_FILE, Config, load_config
from appliance.errors import ConfigError
from appliance.library import current_folder
from appliance.service import settings as module
from appliance.service.settings import Settings

EXAMPLE = Path(module.__file__).parent.parent / "config.toml"


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))


def service(tmp_path: Path, text: str = "", **options: Any) -> Settings:
    (tmp_path / "config.toml").write_text(text)
    return Settings(tmp_path / "config.toml", supervised=True, **options)


def again(settings: Settings, text: str | bytes) -> Config | None:
    assert settings.file
    settings.file.write_bytes(text.encode() if isinstance(text, str) else text)
    settings.reread.set()
    return settings.newer()


def test_the_config_is_read_again_only_when_asked(tmp_path: Path) -> None:
    settings = service(tmp_path, "[camera]\nrate = 20\n")
    assert settings.start().camera.rate == 20
    assert settings.newer() is None
    newer = again(settings, "[camera]\nrate = 25\n")
    assert newer is not None and newer.camera.rate == 25
    assert settings.newer() is None


def test_before_the_start_the_defaults_are_in_force(tmp_path: Path) -> None:
    settings = service(tmp_path, "[camera]\nrate = 20\n")
    assert settings.config == Config()
    assert settings.hanging() == current_folder()


def test_the_command_line_wins_over_the_file_every_time(tmp_path: Path) -> None:
    settings = service(tmp_path, camera="gallery", display="offscreen:lit")
    assert settings.start().camera.source == "gallery"
    newer = again(settings, '[camera]\nsource = "picamera"\n[display]\noutput = "kmsdrm"\n')
    assert newer is not None and newer.camera.source == "gallery" and newer.display.output == "offscreen:lit"


def test_a_wrong_config_is_a_fault_and_the_last_one_stays(
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


def test_a_start_with_a_wrong_config_takes_the_last_right_one(tmp_path: Path) -> None:
    service(tmp_path, "[camera]\nrate = 20\n").start()
    settings = service(tmp_path, "[camera\n")
    assert settings.start().camera.rate == 20
    assert "not TOML" in settings.fault


@pytest.mark.parametrize("copy", [b"", b"[camera]\nrate = 0\n", b"\xff\x00", None])
def test_a_start_without_any_right_config_takes_the_defaults(tmp_path: Path, copy: bytes | None) -> None:
    if copy is not None:
        (tmp_path / "state" / module._COPY).write_bytes(copy)
    settings = service(tmp_path, "[camera\n")
    assert settings.start() == Config()
    assert settings.fault


def test_a_run_by_hand_refuses_a_wrong_config(tmp_path: Path) -> None:
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
    ("text", "keys"),
    [
        ("[camera]\nrate = 25\n", []),
        ('[display]\npack = "another"\n', []),  # taken up while it runs
        ("[display]\nrotation = 90\n", ["display.rotation"]),
        ("[hours]\nfade = 1\n", ["hours.fade"]),
        ("[display]\nrotation = 90\n[hours]\nfade = 1\n", ["display.rotation, hours.fade"]),
    ],
)
def test_what_waits_for_the_next_start_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, keys: list[str]
) -> None:
    settings = service(tmp_path)
    settings.start()
    for _ in range(2):  # the second time nothing has changed
        again(settings, text)
        told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert told == [module.LATER % key for key in keys]


def test_a_value_put_back_before_a_restart_needs_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = service(tmp_path)
    settings.start()
    again(settings, "[display]\nrotation = 90\n")
    caplog.clear()
    again(settings, "[display]\nrotation = 0\n")
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_what_the_service_goes_by_can_be_read_beside_its_status(tmp_path: Path) -> None:
    settings = service(tmp_path, "[camera]\nrate = 20\n", camera="gallery")
    assert module.read_in_force(tmp_path / "run") is None
    settings.start()
    found = module.read_in_force(tmp_path / "run")
    assert found is not None and found.camera.rate == 20
    assert found.camera.source == "picamera", "options of the command line are no values of the files"
    again(settings, "[camera]\nrate = 25\n[display]\nrotation = 90\n")
    found = module.read_in_force(tmp_path / "run")
    assert found is not None and (found.camera.rate, found.display.rotation) == (25, 0)
    again(settings, "[camera]\nrate = 0\n")
    assert module.read_in_force(tmp_path / "run") == found, "a wrong file changes nothing"
    (tmp_path / "run" / module.IN_FORCE).write_bytes(b"[camera\xff")
    assert module.read_in_force(tmp_path / "run") is None


@pytest.fixture
def layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the system's settings."""
    folder = tmp_path / "etc"
    folder.mkdir()
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(folder))
    (folder / CONFIG_FILE).write_text("[gaze]\ngain = 2\n")
    (folder / CARD_FILE).write_text("[camera]\nrate = 20\n")
    (folder / CALIBRATION_FILE).write_text("[gaze]\ncamera_up = -300\n")
    return folder


def in_force(config: Config) -> tuple[float, float, float]:
    return config.gaze.gain, config.camera.rate, config.gaze.camera_up


@pytest.mark.parametrize(
    ("wrong", "rest"),
    [
        (CONFIG_FILE, (1.0, 20.0, -300.0)),
        (CARD_FILE, (2.0, 30.0, -300.0)),
        (CALIBRATION_FILE, (2.0, 20.0, 0.0)),
    ],
)
@pytest.mark.parametrize("text", [b"[gaze]\ngain = 99\n", b"[gaze", b"\xff", b"#" * 70_000])
def test_a_wrong_layer_is_logged_once_and_the_others_count(
    layers: Path, caplog: pytest.LogCaptureFixture, wrong: str, rest: tuple[float, float, float], text: bytes
) -> None:
    (layers / wrong).write_bytes(text)
    settings = Settings(supervised=True)
    assert in_force(settings.start()) == rest
    assert settings.fault.startswith(str(layers / wrong))
    standing = module.DEFAULTS if wrong == CONFIG_FILE else module.FILE_IGNORED
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == [module.CONFIG_WRONG % (standing, settings.fault)]


def test_a_wrong_layer_at_a_reload_leaves_its_last_right_one(layers: Path) -> None:
    settings = Settings(supervised=True)
    assert in_force(settings.start()) == (2.0, 20.0, -300.0)
    (layers / CALIBRATION_FILE).write_text("[gaze]\ncamera_up = 99999\n")
    (layers / CONFIG_FILE).write_text("[gaze]\ngain = 1.5\n")
    settings.reread.set()
    newer = settings.newer()
    assert newer is not None and in_force(newer) == (1.5, 20.0, -300.0)
    assert "camera_up = 99999" in settings.fault


def test_with_a_wrong_config_the_last_right_one_and_others_count(layers: Path) -> None:
    Settings(supervised=True).start()
    (layers / CONFIG_FILE).write_text("[gaze]\ngian = 2\n")
    settings = Settings(supervised=True)
    assert in_force(settings.start()) == (2.0, 20.0, -300.0)
    assert "gian" in settings.fault


def test_a_run_by_hand_refuses_a_wrong_layer(layers: Path) -> None:
    (layers / CALIBRATION_FILE).write_text("[gaze\n")
    with pytest.raises(ConfigError, match=CALIBRATION_FILE):
        Settings().start()


def test_the_service_knows_the_values_that_do_not_count(layers: Path) -> None:
    settings = Settings(supervised=True)
    settings.start()
    assert list(settings.overridden) == []
    (layers / CARD_FILE).write_text("[gaze]\ngain = 3\n")
    settings.reread.set()
    settings.newer()
    expected = f"{layers / CONFIG_FILE}:2: gaze.gain = 2.0; overridden: {layers / CARD_FILE}:2 sets 3.0"
    assert settings.overridden == (expected,)
    assert settings.source == ", ".join(
        str(layers / name) for name in (CONFIG_FILE, CARD_FILE, CALIBRATION_FILE)
    )


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


def test_any_broken_config_leaves_a_right_one_in_force(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # thousands of copies would wait for a disk
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        monkeypatch.setenv("STATE_DIRECTORY", folder)
        _ten_thousand(Path(folder), caplog)


def _ten_thousand(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="appliance")
    rng = random.Random(5)
    right = re.sub(rb"(?m)^#(?=\w+ = )", b"", EXAMPLE.read_bytes())
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
