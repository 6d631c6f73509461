"""The power is cut at random moments, again and again: every boot after it shows a whole portrait."""

import random
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.boot.image import OTHER_PORTRAIT, PORTRAIT, SIZE, Disk
from tests.boot.look import Eye, Watch
from tests.boot.machine import Machine, MachineError
from tests.boot.places import say
from tests.boot.suite import at_rest, until_lit

# Portraits are switched all the time, so that a cut meets a switch.
SWITCHING: Final = (
    f"(cd /; while :; do for each in {OTHER_PORTRAIT} {PORTRAIT}; do "
    "runuser -u mona-lisa -- mona-lisa portrait use $each; done; done >/dev/null 2>&1 &)"
)
# Seconds after the portrait is lit in which the power may be cut.
_AFTERWARDS: Final = 60.0


def test_every_boot_after_a_power_cut_shows_a_whole_portrait(
    request: pytest.FixtureRequest, provisioned: Disk, folder: Path, eye: Eye
) -> None:
    cuts = int(request.config.getoption("--cuts"))
    moments = random.Random(int(request.config.getoption("--seed")))
    disk = provisioned.copy(folder / "cuts.qcow2")
    machine, booting = None, 60.0
    with ExitStack() as power:
        for number in range(1, cuts + 1):
            moment = moments.uniform(5, booting + _AFTERWARDS)
            if machine is None or moment < machine.uptime:  # too late in this boot: cut the next one
                power.close()
                machine = power.enter_context(Machine(disk, folder / f"cut-{number}", SIZE))
            with suppress(MachineError):  # cut before there is a console
                machine.await_console(moment - machine.uptime)
                machine.run(SWITCHING)
            time.sleep(max(0.0, moment - machine.uptime))
            moment = machine.uptime
            power.close()
            machine = power.enter_context(Machine(disk, folder / f"boot-{number}", SIZE))
            with Watch(machine, eye) as watch:
                sight = until_lit(watch)
            assert at_rest(sight.shown)
            booting = sight.moment
            say(f"cut {number} at {moment:.0f} s; then {sight.shown} was lit at {booting:.0f} s")
    assert cuts > 0, "expected --cuts N"
