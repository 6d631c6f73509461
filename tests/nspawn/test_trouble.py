"""What goes wrong, each in a machine of its own that is thrown away."""

import time
from pathlib import Path

import pytest

from appliance.service import reboot_or_pause, settings
from tests.nspawn import container
from tests.nspawn.container import EYES, PROGRAM, SMALL, UNIT, Container

pytestmark = pytest.mark.nspawn

CONFIG = f"/{container.CONFIG}"
FAILED = "mona-lisa-failed.service"
NOTES = "/var/lib/mona-lisa-failed/reboots"


def with_patience(machine: Container, name: str, seconds: float) -> None:
    """Change a time of the failure unit: the host may be up for days or for a minute, and tests are short."""
    file = "/opt/mona-lisa/current/appliance/service/reboot_or_pause.py"
    machine.sh(
        f"sed -i 's/^{name}: Final = .*/{name}: Final = {seconds}/' {file} && grep '^{name}.* {seconds}$' {file}"
    )


def test_a_full_run_leaves_the_portrait_lit_and_is_told_once(own: Container) -> None:
    own.sh(
        "mount -o remount,size=$(($(stat -fc '(%b-%f)*%S' /run) + 65536)) /run;"
        "cat /dev/zero > /run/filler 2>/dev/null; ! (echo > /run/more) 2>/dev/null"
    )

    def told() -> int:
        return sum("the status cannot be written" in line for line in own.warnings())

    own.until(told)
    own.until(lambda: own.status()[0] == 1)
    before = own.show("StatusText")
    own.until(lambda: own.show("StatusText") != before)
    assert told() == 1
    own.sh("mount -o remount,size=50% /run")
    own.until(lambda: own.status()[0] == 0)
    assert own.show("NRestarts") == "0"


def test_a_full_disk_leaves_the_portrait_and_the_log_running(own: Container) -> None:
    own.sh(f"systemctl stop {UNIT}; mkdir /tmp/state; cp -a /var/lib/mona-lisa/. /tmp/state/")
    own.sh("rm -rf /tmp/state/.cache; mount -t tmpfs -o size=100M tmpfs /var/lib/mona-lisa")
    own.sh(
        "cp -a /tmp/state/. /var/lib/mona-lisa/; cat /dev/zero > /var/lib/mona-lisa/filler 2>/dev/null;"
        "! (echo > /var/lib/mona-lisa/more) 2>/dev/null"
    )
    own.sh(f"echo '# new' >> {CONFIG}; systemctl start {UNIT}")
    own.until(own.warnings)
    own.until(lambda: own.status()[0] == 0)
    (line,) = own.warnings()
    assert "compiled portrait is not kept" in line and "No space left on device" in line


def test_a_loop_that_stands_still_is_restarted_by_the_watchdog(own: Container) -> None:
    pid = own.show("MainPID")
    own.sh(f"kill -STOP {pid}")
    own.until(lambda: int(own.show("NRestarts")) == 1)
    own.seeing()
    assert own.show("MainPID") != pid
    assert any("Watchdog timeout" in str(row["MESSAGE"]) for row in own.journal())


def test_a_crash_is_restarted_after_6_s_without_a_core_file(own: Container) -> None:
    pid = own.show("MainPID")
    own.sh(f"touch /dev/shm/mark; kill -SEGV {pid}")
    crashed = time.monotonic()
    own.until(lambda: own.show("MainPID") not in ("0", pid))
    assert time.monotonic() - crashed > 5.0, "the camera's driver is given time"
    assert not own.sh(
        "find / -xdev -name 'core*' -newer /dev/shm/mark -type f -size +1M -not -path '/proc/*'"
    )
    own.seeing()


def test_a_program_that_fails_to_start_is_retried_with_a_pause(
    own: Container,
) -> None:
    now = int(time.time())  # rebooted twice already
    with_patience(own, "PAUSE", 20.0)
    own.sh(f"systemctl stop {UNIT}; systemctl reset-failed; mkdir -p {Path(NOTES).parent}")
    own.sh(f"printf '{now - 7200}\\n{now - 3600}\\n' > {NOTES}")
    own.sh(f"mv $(readlink -f {PROGRAM}) /root/program; systemctl start {UNIT}", ok=(0, 1))
    own.until(lambda: own.show("ActiveState") == "failed")
    exits = [row for row in own.journal() if "status=203/EXEC" in str(row["MESSAGE"])]
    assert 4 <= len(exits) <= 5, "systemd counts starts by the time of the first"
    own.until(lambda: own.said(FAILED))
    assert own.said(FAILED) == [reboot_or_pause.PAUSING % (reboot_or_pause.TOO_OFTEN % 2, 20.0)]
    own.sh(f"mv /root/program {PROGRAM}")
    own.seeing()
    assert own.status()[0] == 0


def failing(machine: Container) -> list[str]:
    """Let the failure unit find the service given up; return what it says and does not wait for its end."""
    machine.sh(f"systemctl stop {UNIT}; systemctl reset-failed")
    machine.sh("systemctl mask --runtime --now reboot.target")  # it is asked for, and does not come
    machine.sh(f"systemctl start --no-block {FAILED}")
    machine.until(lambda: machine.said(FAILED))
    return machine.said(FAILED)[:1]


def test_a_service_that_keeps_failing_ends_in_a_reboot(own: Container) -> None:
    with_patience(own, "SHORTEST_UPTIME", 1.0)
    assert failing(own) == [reboot_or_pause.REBOOTING % (1, 2)]
    own.until(lambda: own.show("ActiveState", FAILED) == "failed")
    asked = "'--no-block', 'reboot']' returned non-zero"
    assert any(asked in str(row["MESSAGE"]) for row in own.journal(FAILED))
    assert len(own.sh(f"cat {NOTES}").split()) == 1, "and is noted"


def test_a_failing_service_is_not_rebooted_too_soon_to_log_in(own: Container) -> None:
    with_patience(own, "SHORTEST_UPTIME", 1e9)
    (line,) = failing(own)
    assert "somebody may want to log in" in line and line.endswith(f"again in {reboot_or_pause.PAUSE:.0f} s")
    assert own.show("ActiveState", FAILED) == "activating"
    assert own.run(f"cat {NOTES}").returncode == 1


def test_a_stop_that_ends_badly_is_no_failure(own: Container) -> None:
    with_patience(own, "SHORTEST_UPTIME", 1.0)
    pid = own.show("MainPID")
    own.sh("systemctl mask --runtime --now reboot.target")
    own.sh(f"systemctl stop --no-block {UNIT}; sleep 0.1; kill -KILL {pid}")
    own.until(lambda: own.show("ActiveState") == "failed" and own.show("Result", FAILED) == "success")
    own.until(lambda: "ExecMainExitTimestampMonotonic=0" not in own.sh(f"systemctl show {FAILED}"))
    assert not own.said(FAILED), "neither a reboot nor another start"
    assert own.show("ActiveState", FAILED) == "inactive"


def test_booted_without_a_camera_it_shows_the_portrait(root: Path) -> None:
    with Container(root, EYES % "", SMALL) as machine:
        machine.until(lambda: machine.show("StatusText").startswith("blind"))
        time.sleep(8)  # it is tried again
        (lost,) = machine.warnings()
        assert lost.startswith("camera lost (picamera2 cannot be loaded") and "retrying in 2 s" in lost
        assert machine.show("ActiveState") == "active" and machine.show("NRestarts") == "0"
        machine.until(lambda: machine.status()[1].startswith("blind (picamera2 cannot be loaded"))
        assert machine.status()[0] == 1
        assert "frame_" in machine.sh("ls /dev/shm/lit")


def test_booted_with_a_broken_config_it_shows_the_portrait(root: Path) -> None:
    with Container(root, EYES % "--camera gallery", "[display\nwidth = 2") as machine:
        machine.seeing()
        (wrong,) = machine.warnings()
        assert wrong.startswith(f"config wrong, {settings.DEFAULTS}: {CONFIG}: not TOML")
        machine.until(lambda: "not TOML" in machine.status()[1])
        assert machine.status()[0] == 1
        assert "frame_" in machine.sh("ls /dev/shm/lit")
        # The portrait that hangs goes, too: the one that came with the program is shown.
        machine.sh(f"rm -rf /var/lib/mona-lisa/*; systemctl restart {UNIT}")
        machine.seeing()
        _, missing = machine.warnings()
        assert missing.startswith("/var/lib/mona-lisa/sconosciuta: no pack there")
        assert missing.endswith("showing La Sconosciuta instead")
        machine.until(lambda: "showing La Sconosciuta instead" in machine.status()[1])


def test_booted_from_a_read_only_disk_it_follows(root: Path) -> None:
    with Container(root, EYES % "--camera gallery", SMALL, read_only=True) as machine:
        machine.until(lambda: machine.show("StatusText").startswith("following"))
        machine.until(lambda: machine.status()[0] == 0)
        machine.sh("! touch /var/lib/mona-lisa/x")
        (line,) = machine.warnings()
        assert "compiled portrait is not kept" in line and "Read-only file system" in line
