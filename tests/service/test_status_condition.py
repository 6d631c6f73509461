import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from appliance.cli import main
from appliance.service import status as module
from appliance.service.status import NO_STATUS, NOT_OURS, STALE, STATUS, condition, write_status
from tests.service.test_status import FIGURES

pytestmark = pytest.mark.skipif(
    module.ask_systemd() is not None, reason="the service is installed on this machine"
)


def write(place: Path, **changes: object) -> None:
    status: dict[str, Any] = {
        "monotonic": time.monotonic(), "sentence": "alone, 30.0 pictures/s", "healthy": True, "fault": "",
    }  # fmt: skip
    (place / STATUS).write_text(json.dumps(status | changes))


def test_a_service_that_writes_is_healthy(tmp_path: Path) -> None:
    write(tmp_path)
    found = condition(tmp_path)
    assert found.healthy and found.line == "alone, 30.0 pictures/s"


def test_without_a_status_there_is_no_service(tmp_path: Path) -> None:
    found = condition(tmp_path)
    assert not found.healthy and found.line == NO_STATUS % tmp_path


RIGHT = '"monotonic": 1, "sentence": "alone", "healthy": true, "fault": ""'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("\x00\xff", "not JSON"),
        ('{"monotonic": ' + "9" * 5000 + "}", "not JSON"),
        ("[1, 2]", "expected a flat JSON object"),
        ("[" * 20_000, "nested too deeply"),
        ('{"a":' * 300 + "1" + "}" * 300, "expected a flat JSON object"),
        (f'{{{RIGHT}, "counts": [[1]]}}', "expected a flat JSON object"),
        (f'{{{RIGHT}, "distance_m": NaN}}', "expected a flat JSON object"),
        (f"{{{RIGHT}}}".replace("1", "NaN"), "expected a flat JSON object"),
        (f"{{{RIGHT}}}".replace("1", "1e999"), "expected a flat JSON object"),
        (f"{{{RIGHT}}}".replace("alone", "\\ud800"), "expected a flat JSON object"),
        (f"{{{RIGHT}}}".replace("1", "true"), "monotonic is missing or of another kind"),
        (f"{{{RIGHT}}}".replace("true", '"no"'), "healthy is missing or of another kind"),
        (f"{{{RIGHT}}}".replace('"alone"', "{}"), "sentence is missing or of another kind"),
        ('{"healthy": true}', "monotonic is missing or of another kind"),
        (f"{{{RIGHT}}}".replace("1", "1e15"), "its time is not one since this machine started"),
        (f"{{{RIGHT}}}".replace("1", "9" * 4000), "its time is not one since this machine started"),
        (f"{{{RIGHT}}}".replace("1", "-1"), "its time is not one since this machine started"),
        (f'{{{RIGHT}, "x": "{"x" * 70_000}"}}', "70,076 bytes, expected at most 65,536"),
    ],
)
def test_a_status_not_from_the_service_is_not_healthy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    (tmp_path / STATUS).write_text(text, "latin-1")
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    assert main(["status"]) == 1
    assert capsys.readouterr() == (NOT_OURS % (tmp_path / STATUS, why) + "\n", "")
    assert main(["status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["healthy"] is False


def test_a_status_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / STATUS)
    assert condition(tmp_path).line == NOT_OURS % (tmp_path / STATUS, "no regular file")


def test_what_the_service_writes_is_a_status(tmp_path: Path) -> None:
    write_status(
        tmp_path, {**FIGURES, "monotonic": round(time.monotonic() + 0.04, 1), "sentence": "", "fault": ""}
    )
    assert condition(tmp_path).healthy


def test_a_service_that_stopped_writing_is_not(tmp_path: Path) -> None:
    write(tmp_path, monotonic=time.monotonic() - 40)
    found = condition(tmp_path)
    assert not found.healthy and found.line in (STALE % 40, STALE % 41)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    write(tmp_path, healthy=False, fault="config.toml:3: camera.rate = 0")
    found = condition(tmp_path)
    assert not found.healthy
    assert found.line == "alone, 30.0 pictures/s; but config.toml:3: camera.rate = 0"


def test_status_names_the_values_that_a_higher_layer_overrides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    line = "config.toml:2: gaze.gain = 2.0; overridden: card.toml:2 sets 3.0"
    write(tmp_path, overridden=[line])
    assert main(["status"]) == 0
    assert capsys.readouterr().out.splitlines() == ["alone, 30.0 pictures/s", line]


@pytest.mark.parametrize("wrong", ["a text", [1], {"a": "b"}, None])
def test_overridden_values_of_another_kind_are_no_status(tmp_path: Path, wrong: object) -> None:
    write(tmp_path, overridden=wrong)
    assert "overridden is of another kind" in condition(tmp_path).line
