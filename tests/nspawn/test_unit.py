"""The service under a real systemd: `tests/nspawn/run`."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.service import loop, recovery, reporter, settings
from tests.nspawn import container
from tests.nspawn.container import UNIT, Container, install

pytestmark = pytest.mark.nspawn

# The one thing that a drop-in may choose: there is no camera and no display in a container.
EYES = """[Service]
ExecStart=
ExecStart=/opt/mona-lisa/current/venv/bin/mona-lisa run --service %s --display offscreen:/dev/shm/lit
"""
CONFIG = f"/{container.CONFIG}"
SMALL = "[display]\nwidth = 270\nheight = 480\n"
PROGRAM = "/opt/mona-lisa/current/venv/bin/mona-lisa"


@pytest.fixture(scope="session")
def root(request: pytest.FixtureRequest) -> Path:
    folder = Path(request.config.getoption("--root"))
    install(folder)
    return folder


@pytest.fixture(scope="module")
def machine(root: Path) -> Iterator[Container]:
    """A machine with the simulated gallery for a camera; the service starts with it."""
    with Container(root, EYES % "--camera gallery", SMALL) as booted:
        yield booted


@pytest.fixture
def gallery(machine: Container) -> Container:
    """That machine while its service is well."""
    if machine.show("ActiveState") in ("inactive", "failed"):
        machine.sh(f"systemctl reset-failed {UNIT}; systemctl start {UNIT}")
    machine.until(lambda: "pictures/s" in machine.show("StatusText"), 40)
    return machine


def warnings(machine: Container) -> list[str]:
    """What the present run of the service has logged as warnings and errors."""
    run = machine.show("InvocationID")
    rows = machine.sh(f"journalctl --sync; journalctl --output=json -p warning _SYSTEMD_INVOCATION_ID={run}")
    return [str(json.loads(row)["MESSAGE"]) for row in rows.splitlines()]


def status(machine: Container) -> tuple[int, str]:
    """What `mona-lisa status` exits with and prints."""
    done = machine.run(f"{PROGRAM} status")
    return done.returncode, done.stdout.strip()


def test_systemd_has_nothing_to_say_against_the_units(machine: Container) -> None:
    for unit in (UNIT, "mona-lisa-failed.service", "getty@tty1.service"):
        checked = machine.run(f"systemd-analyze verify --man=no {unit}")
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", ""), unit


def test_the_sandbox_is_as_tight_as_promised(machine: Container) -> None:
    for unit in (UNIT, "mona-lisa-failed.service"):
        machine.sh(f"systemd-analyze security --offline=yes --threshold=20 /etc/systemd/system/{unit}")


def test_it_is_ready_when_the_first_picture_is_lit_and_not_before(gallery: Container) -> None:
    flips = gallery.sh("cat /dev/shm/lit/lit.jsonl").splitlines()
    first = json.loads(flips[0])["time"]
    ready = int(gallery.show("ActiveEnterTimestampMonotonic")) / 1e6
    began = int(gallery.show("ExecMainStartTimestampMonotonic")) / 1e6
    assert began < first <= ready


def test_it_runs_as_its_own_user_without_capabilities_or_network(gallery: Container) -> None:
    pid = gallery.show("MainPID")
    known = dict(
        row.split(":\t", 1) for row in gallery.sh(f"cat /proc/{pid}/status").splitlines() if ":\t" in row
    )
    assert gallery.sh(f"ps -o user= -p {pid}") == "mona-lisa"
    assert int(known["CapEff"], 16) == int(known["CapBnd"], 16) == 0
    assert (known["NoNewPrivs"], known["Seccomp"]) == ("1", "2")
    links = gallery.sh(f"nsenter --target {pid} --net cat /proc/net/dev").splitlines()[2:]
    assert [link.split(":")[0].strip() for link in links] == ["lo"]


def test_its_only_sockets_are_the_journals_notifys_and_udevs(gallery: Container) -> None:
    pid = gallery.show("MainPID")
    open_files = gallery.sh(f"readlink /proc/{pid}/fd/* || true").splitlines()
    inodes = {name[8:-1] for name in open_files if name.startswith("socket:")}
    # Standard output and error came from systemd, the journal's datagrams leave from the sandbox.
    unix = {row.split()[6] for row in gallery.sh(f"cat /proc/net/unix /proc/{pid}/net/unix").splitlines()}
    netlink = [row.split() for row in gallery.sh(f"cat /proc/{pid}/net/netlink").splitlines()[1:]]
    uevents = {row[-1] for row in netlink if row[1] == "15"}  # SDL hears of devices
    assert inodes <= unix | uevents
    assert len(inodes - uevents) <= 2
    for family in ("tcp", "tcp6", "udp", "udp6", "raw", "packet"):
        assert len(gallery.sh(f"cat /proc/{pid}/net/{family}").splitlines()) <= 1, family


def test_nothing_is_written_but_the_status_and_nothing_sent_but_to_systemd(gallery: Container) -> None:
    pid = gallery.show("MainPID")
    trace = "trace=socket,connect,sendto,sendmsg,openat,creat,mkdir,link,symlink"
    gallery.sh(f"timeout 6 strace -f -qq -y -p {pid} -e {trace} -o /dev/shm/trace || true")
    calls = [row.split(maxsplit=1)[1] for row in gallery.sh("cat /dev/shm/trace").splitlines()]
    opened = [call.split('"')[1] for call in calls if call.startswith("openat") and "O_RDONLY" not in call]
    written = {path for path in opened if not path.startswith("/dev/shm/lit")}
    assert written == {"/run/mona-lisa/.status.json.new", "/run/mona-lisa/.mona-lisa.prom.new"}
    sent = [call for call in calls if call.startswith(("connect", "sendto", "sendmsg"))]
    assert any("/run/systemd/notify" in call for call in sent), "the trace works"
    assert all('"/run/systemd/notify"' in call or '"/run/systemd/journal/socket"' in call for call in sent)
    assert all("AF_UNIX" in call for call in calls if call.startswith("socket"))


def test_the_status_line_is_for_people(gallery: Container) -> None:
    gallery.until(lambda: gallery.show("StatusText").startswith("following 1 of 1 visitor at "), 20)
    code, line = status(gallery)
    assert code == 0 and "pictures/s, frame " in line


def test_the_journal_has_fields(gallery: Container) -> None:
    gallery.until(lambda: reporter.FOLLOWING in gallery.said(), 20)
    (row,) = [row for row in gallery.journal() if row["MESSAGE"] == reporter.FOLLOWING][-1:]
    assert row["MONA_LISA_STATE"] == "following"
    assert row["MONA_LISA_PORTRAIT"] == "La Sconosciuta"
    assert row["MONA_LISA_VERSION"]
    assert row["SYSLOG_IDENTIFIER"] == "mona-lisa"
    assert (row["PRIORITY"], row["_TRANSPORT"]) == ("6", "journal")
    (start,) = [line for line in gallery.said() if "lit at rest" in line][-1:]
    for part in (
        "mona-lisa 0.",
        "SDL 2.",
        "tflite-runtime",
        "camera gallery",
        "model full",
        CONFIG,
        "270x480",
    ):
        assert part in start


def test_the_log_outlives_a_reboot(gallery: Container) -> None:
    assert gallery.sh("ls /var/log/journal/*/system.journal")


def test_sighup_takes_up_a_new_portrait_without_a_black_moment(gallery: Container) -> None:
    gallery.sh("cp -a /var/lib/mona-lisa/sconosciuta /var/lib/mona-lisa/other")
    gallery.sh("sed -i 's/^title = .*/title = \"Another\"/' /var/lib/mona-lisa/other/pack.toml")
    pid = gallery.show("MainPID")
    gallery.sh(f"printf 'pack = \"/var/lib/mona-lisa/other\"\\n' >> {CONFIG}; systemctl reload {UNIT}")
    gallery.until(lambda: loop.SWITCHED % "Another" in gallery.said(), 20)
    assert settings.CONFIG_TAKEN % CONFIG in gallery.said()
    assert gallery.show("MainPID") == pid and not warnings(gallery)


def test_sighup_with_a_wrong_config_keeps_the_one_before(gallery: Container) -> None:
    gallery.sh(f"cp {CONFIG} /dev/shm/right; echo 'widht = 3' >> {CONFIG}; systemctl reload {UNIT}")
    gallery.until(lambda: warnings(gallery), 20)
    (line,) = warnings(gallery)
    assert line.startswith(settings.CONFIG_WRONG.split("%", maxsplit=1)[0]) and "display.widht" in line
    # The status is written once a second, the log at once.
    gallery.until(lambda: "display.widht" in status(gallery)[1], 20)
    assert status(gallery)[0] == 1
    gallery.sh(f"cp /dev/shm/right {CONFIG}; systemctl reload {UNIT}")
    gallery.until(lambda: status(gallery)[0] == 0, 20)


def test_sigterm_ends_it_within_two_seconds(gallery: Container) -> None:
    # The folder goes with the service: RemoveIPC clears what its user leaves in /dev/shm.
    gallery.sh("tail -f -n 1 /dev/shm/lit/lit.jsonl > /root/flips 2>/dev/null & sleep 0.3")
    began = time.monotonic()
    gallery.sh(f"systemctl stop {UNIT}")
    assert time.monotonic() - began < 2.0
    assert gallery.show("Result") == "success"
    assert gallery.said()[-1] == loop.ENDED
    last = gallery.sh("cat /root/flips").splitlines()[-1]
    assert json.loads(last)["frame"] is None, "the portrait went to black"
    assert status(gallery)[0] == 1


def test_a_full_run_leaves_the_portrait_lit_and_is_told_once(gallery: Container) -> None:
    gallery.sh("fallocate -l $(($(stat -fc '%f*%S' /run))) /run/filler; true")

    def told() -> int:
        return sum("the status cannot be written" in line for line in warnings(gallery))

    gallery.until(told, 20)
    gallery.until(lambda: status(gallery)[0] == 1, 20)
    before = gallery.show("StatusText")
    gallery.until(lambda: gallery.show("StatusText") != before, 20)
    assert told() == 1
    gallery.sh("rm /run/filler")
    gallery.until(lambda: status(gallery)[0] == 0, 20)


def test_a_full_disk_leaves_the_portrait_and_the_log_running(gallery: Container) -> None:
    gallery.sh(f"systemctl stop {UNIT}; mkdir /tmp/state; cp -a /var/lib/mona-lisa/. /tmp/state/")
    gallery.sh("mount -t tmpfs -o size=40M tmpfs /var/lib/mona-lisa; cp -a /tmp/state/. /var/lib/mona-lisa/")
    gallery.sh(
        "cat /dev/zero > /var/lib/mona-lisa/filler 2>/dev/null; ! touch /var/lib/mona-lisa/.x$RANDOM/y"
    )
    gallery.sh(f"echo '# new' >> {CONFIG}; systemctl start {UNIT}")
    gallery.until(lambda: status(gallery)[0] == 0, 40)
    (line,) = warnings(gallery)
    assert "compiled portrait is not kept" in line and "No space left on device" in line
    gallery.sh(f"systemctl stop {UNIT}; umount /var/lib/mona-lisa")


def test_a_loop_that_stands_still_is_restarted_by_the_watchdog(gallery: Container) -> None:
    restarts = int(gallery.show("NRestarts"))
    pid = gallery.show("MainPID")
    gallery.sh(f"kill -STOP {pid}")
    gallery.until(lambda: int(gallery.show("NRestarts")) > restarts, 60)
    gallery.until(lambda: "pictures/s" in gallery.show("StatusText"), 40)
    assert gallery.show("MainPID") != pid
    assert any("Watchdog timeout" in str(row["MESSAGE"]) for row in gallery.journal())


def test_a_crash_is_restarted_after_six_seconds_and_no_core_is_left(gallery: Container) -> None:
    pid = gallery.show("MainPID")
    gallery.sh(f"touch /dev/shm/mark; kill -SEGV {pid}")
    gallery.until(lambda: gallery.show("MainPID") not in ("0", pid), 20)
    assert not gallery.sh(
        "find / -xdev -name 'core*' -newer /dev/shm/mark -type f -size +1M -not -path '/proc/*'"
    )


def test_five_failures_end_in_a_pause_when_the_machine_was_rebooted_twice_already(gallery: Container) -> None:
    now = int(time.time())
    gallery.sh("systemctl stop mona-lisa && mkdir -p /var/lib/mona-lisa-failed")
    gallery.sh(f"printf '{now - 7200}\\n{now - 3600}\\n' > /var/lib/mona-lisa-failed/reboots")
    gallery.sh(
        "mv /opt/mona-lisa/releases/test/venv/bin/mona-lisa /opt/mona-lisa/releases/test/venv/bin/away"
    )
    gallery.sh("systemctl start mona-lisa", ok=(0, 1))
    gallery.until(lambda: gallery.show("ActiveState") == "failed", 60)
    assert gallery.show("Result") in ("start-limit-hit", "exit-code")
    failed = "mona-lisa-failed.service"
    gallery.until(lambda: gallery.show("ActiveState", failed) == "activating", 10)
    gallery.until(lambda: gallery.said(failed), 10)
    why = recovery.TOO_OFTEN % 2
    assert gallery.said(failed)[-1] == recovery.PAUSING % (why, recovery.PAUSE)
    gallery.sh(
        "mv /opt/mona-lisa/releases/test/venv/bin/away /opt/mona-lisa/releases/test/venv/bin/mona-lisa"
    )
    gallery.sh(f"systemctl stop {failed}")


def test_five_failures_end_in_a_reboot_otherwise(gallery: Container) -> None:
    gallery.sh("rm -f /var/lib/mona-lisa-failed/reboots; systemctl stop mona-lisa; systemctl reset-failed")
    gallery.sh("systemctl mask --runtime --now reboot.target")  # it is asked for, and does not come
    gallery.sh("systemctl start mona-lisa-failed", ok=(0, 1))
    uptime = float(gallery.sh("cat /proc/uptime").split()[0])
    if uptime < recovery.SHORTEST_UPTIME:
        pytest.skip("this machine is up for less than 15 minutes")
    assert recovery.REBOOTING % (1, 2) in gallery.said("mona-lisa-failed.service")
    assert len(gallery.sh("cat /var/lib/mona-lisa-failed/reboots").split()) == 1


def test_booted_without_a_camera_it_shows_the_portrait_and_says_so_once(root: Path) -> None:
    with Container(root, EYES % "", SMALL) as machine:
        machine.until(lambda: machine.show("StatusText").startswith("blind"), 30)
        time.sleep(8)
        (lost,) = warnings(machine)
        assert lost.startswith("camera lost (picamera2 cannot be loaded") and "retrying in 2 s" in lost
        assert machine.show("ActiveState") == "active" and machine.show("NRestarts") == "0"
        code, line = status(machine)
        assert code == 1 and line.startswith("blind (picamera2 cannot be loaded")
        assert "frame_" in machine.sh("ls /dev/shm/lit")


def test_booted_with_a_broken_config_it_shows_the_portrait_and_says_so_once(root: Path) -> None:
    with Container(root, EYES % "--camera gallery", "[display\nwidth = 2") as machine:
        machine.until(lambda: "pictures/s" in machine.show("StatusText"), 40)
        time.sleep(3)
        (wrong,) = warnings(machine)
        assert wrong.startswith(f"config wrong, {settings.DEFAULTS}: {CONFIG}: not TOML")
        code, line = status(machine)
        assert code == 1 and "not TOML" in line
        assert "frame_" in machine.sh("ls /dev/shm/lit")
        # The portrait that hangs goes, too: the one that came with the program is shown.
        machine.sh(f"rm -rf /var/lib/mona-lisa/*; systemctl restart {UNIT}")
        machine.until(lambda: "pictures/s" in machine.show("StatusText"), 40)
        _, missing = warnings(machine)
        assert missing.startswith("/var/lib/mona-lisa/sconosciuta: no pack there")
        assert missing.endswith("showing La Sconosciuta instead")


def test_booted_from_a_read_only_disk_it_shows_the_portrait_and_follows(root: Path) -> None:
    with Container(root, EYES % "--camera gallery", SMALL, read_only=True) as machine:
        machine.until(lambda: status(machine)[0] == 0, 40)
        machine.sh("! touch /var/lib/mona-lisa/x")
        machine.until(lambda: machine.show("StatusText").startswith("following"), 20)
        (line,) = warnings(machine)
        assert "compiled portrait is not kept" in line and "Read-only file system" in line
