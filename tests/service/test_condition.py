import json
import time
from pathlib import Path
from typing import Any

import pytest

from appliance.service import condition as module
from appliance.service.condition import NO_STATUS, STALE, condition
from appliance.service.status import STATUS

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


def test_no_status_a_damaged_one_and_one_of_another_program_are_not(tmp_path: Path) -> None:
    for text in (None, "", "[1, 2]", '{"healthy": true}', "\x00\xff"):
        if text is not None:
            (tmp_path / STATUS).write_text(text, "latin-1")
        found = condition(tmp_path)
        assert not found.healthy and found.line == NO_STATUS % tmp_path


def test_a_service_that_stopped_writing_is_not(tmp_path: Path) -> None:
    write(tmp_path, monotonic=time.monotonic() - 40)
    found = condition(tmp_path)
    assert not found.healthy and found.line in (STALE % 40, STALE % 41)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    write(tmp_path, healthy=False, fault="config.toml:3: camera.rate = 0")
    found = condition(tmp_path)
    assert not found.healthy
    assert found.line == "alone, 30.0 pictures/s; but config.toml:3: camera.rate = 0"
