import time
from dataclasses import replace

import pytest

from appliance.config import Config
from appliance.errors import CameraStalled
from appliance.service.health import PATIENCE, Facts
from appliance.service.reporter import Reporter


def told(reporter: Reporter, facts: Facts, seconds: float) -> None:
    """Tell the same facts ten times a second, as the loop does."""
    for step in range(int(10 * seconds)):
        reporter.tell(replace(facts, now=facts.now + step / 10))


def test_time_in_which_the_whole_process_stood_still_is_no_hang_of_the_camera() -> None:
    now = time.monotonic()
    reporter = Reporter(Config())
    well = Facts(now, lit=now, due=now + 5, pictures=100)
    told(reporter, well, 1)
    stopped = replace(well, now=now + 600)
    told(reporter, stopped, PATIENCE - 1)
    with pytest.raises(CameraStalled):
        told(reporter, replace(stopped, now=stopped.now + PATIENCE - 1), 3)


def test_a_camera_that_does_not_come_by_while_all_else_goes_on_is_a_hang() -> None:
    now = time.monotonic()
    with pytest.raises(CameraStalled):
        told(Reporter(Config()), Facts(now, lit=now, due=now + 5, pictures=100), 5 + PATIENCE + 1)
