"""The service under a real systemd while all is well: `tests/nspawn/run`."""

import json
import re
from pathlib import Path

import pytest

from appliance.service import reporter
from tests.nspawn.container import CHECKOUT, CONFIG, PROGRAM, UNIT, Container

pytestmark = pytest.mark.nspawn

FAILED = "mona-lisa-failed.service"
CARD_PORTRAIT = "mona-lisa-card-portrait.service"


def test_systemd_has_nothing_to_say_against_the_units(gallery: Container) -> None:
    units = [path.name for path in (CHECKOUT / "systemd").glob("*.service")]
    assert {UNIT, FAILED} < set(units)
    for unit in (*units, "getty@tty1.service"):
        checked = gallery.run(f"systemd-analyze verify --man=no {unit}")
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", ""), unit


def test_the_sandbox_is_as_tight_as_promised(gallery: Container) -> None:
    for unit, tenths in ((UNIT, 9), (FAILED, 20), (CARD_PORTRAIT, 14)):
        gallery.sh(f"systemd-analyze security --offline=yes --threshold={tenths} /etc/systemd/system/{unit}")


def test_the_units_are_the_projects_own_to_the_byte(gallery: Container) -> None:
    for path in (CHECKOUT / "systemd").glob("*.service"):
        assert gallery.run(f"cat /etc/systemd/system/{path.name}").stdout == path.read_text(), path.name


def test_it_is_ready_no_sooner_than_the_first_picture_is_lit(gallery: Container) -> None:
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


def test_only_the_status_is_written_and_only_systemd_told(gallery: Container) -> None:
    pid = gallery.show("MainPID")
    trace = "trace=socket,connect,sendto,sendmsg,openat,creat,mkdir,link,symlink"
    # Until the status was written a few times, however long that takes.
    gallery.sh(
        f"strace -f -qq -y -p {pid} -e {trace} -o /dev/shm/trace & tracer=$!; "
        "until [ $(grep -c mona-lisa.prom.new /dev/shm/trace) -ge 3 ]; do sleep 0.5; done; "
        "kill -INT $tracer; wait $tracer; true"
    )
    calls = [row.split(maxsplit=1)[1] for row in gallery.sh("cat /dev/shm/trace").splitlines()]
    opened = [call.split('"')[1] for call in calls if call.startswith("openat") and "O_RDONLY" not in call]
    written = {path for path in opened if not path.startswith("/dev/shm/lit")}
    assert written == {"/run/mona-lisa/.status.json.new", "/run/mona-lisa/.mona-lisa.prom.new"}
    sent = [call for call in calls if call.startswith(("connect", "sendto", "sendmsg"))]
    assert any("/run/systemd/notify" in call for call in sent), "the trace works"
    assert all('"/run/systemd/notify"' in call or '"/run/systemd/journal/socket"' in call for call in sent)
    assert all("AF_UNIX" in call for call in calls if call.startswith("socket"))


def path_of(call: str) -> str:
    """The path of an openat call; -y tells the folder, where that is an open one."""
    folder, path = re.findall(r'openat\((?:AT_FDCWD|\d+)(?:<([^>]*)>)?, "([^"]*)"', call)[0]
    return str(Path(folder or "/") / path)


def test_no_file_that_could_hold_a_picture_is_ever_written(own: Container) -> None:
    own.sh(f"systemctl stop {UNIT}; rm -rf /var/lib/mona-lisa/.cache; echo '# new' >> /{CONFIG}")
    trace = "trace=openat,creat,write,writev,pwrite64,sendfile,copy_file_range,mmap"
    own.sh(
        f"systemctl start --no-block {UNIT}; "
        f"until pid=$(systemctl show -P MainPID {UNIT}); [ $pid != 0 ]; do :; done; "
        f"strace -f -qq -y -p $pid -e {trace} -o /root/trace >/dev/null 2>&1 &"
    )
    own.until(lambda: own.show("StatusText").startswith("following"))
    own.sh(f"systemctl stop {UNIT}")
    calls = [row.split(maxsplit=1)[1] for row in own.sh("cat /root/trace").splitlines()]
    opened = {path_of(c) for c in calls if c.startswith("openat") and ("O_WRONLY" in c or "O_RDWR" in c)}
    written = {c.split("<", 1)[1].split(">")[0] for c in calls if c.startswith(("write", "pwrite"))}
    # The screen's folder and files without a name in it; what the model's runtime greets with.
    display = ("/dev/shm/lit", "socket:", "pipe:")
    state = "/var/lib/mona-lisa/"  # the portrait, compiled for the screen, and the last right config
    for path in opened | written:
        settings = (f"{state}..last-right-config.toml.new-", "/run/mona-lisa/.in-force.toml.new-")
        known = path.startswith((*display, f"{state}.cache/", *settings))
        figures = ("/run/mona-lisa/.status.json.new", "/run/mona-lisa/.mona-lisa.prom.new")
        assert known or path in figures, path
    assert any("status.json" in path for path in written), "the trace works"
    assert not [c for c in calls if c.startswith(("sendfile", "copy_file_range", "creat"))]
    assert not [c for c in calls if c.startswith("mmap") and "MAP_SHARED" in c and "PROT_WRITE" in c]


def test_the_status_line_is_for_people(gallery: Container) -> None:
    gallery.until(lambda: gallery.show("StatusText").startswith("following 1 of 1 visitor at "))
    done = gallery.run(f"setpriv --reuid=nobody --regid=nogroup --clear-groups {PROGRAM} status")
    assert done.returncode == 0 and "pictures/s, frame " in done.stdout, "any user may ask"


def test_the_journal_has_fields(gallery: Container) -> None:
    gallery.until(lambda: reporter.FOLLOWING in gallery.said())
    (row,) = [row for row in gallery.journal() if row["MESSAGE"] == reporter.FOLLOWING][-1:]
    assert row["MONA_LISA_STATE"] == "following"
    assert row["MONA_LISA_CAUSE"] == ""
    assert row["MONA_LISA_PORTRAIT"] == "La Sconosciuta"
    assert row["MONA_LISA_VERSION"]
    assert row["SYSLOG_IDENTIFIER"] == "mona-lisa"
    assert (row["PRIORITY"], row["_TRANSPORT"]) == ("6", "journal")
    (start,) = [row for row in gallery.journal() if "lit at rest" in str(row["MESSAGE"])][-1:]
    assert start["MONA_LISA_STATE"] == "starting"
    parts = ("mona-lisa 0.", "SDL 2.", "tflite-runtime", "camera gallery", "model full", CONFIG, "270x480")
    for part in parts:
        assert part in start["MESSAGE"]


def test_the_log_outlives_a_reboot(gallery: Container) -> None:
    assert gallery.sh("ls /var/log/journal/*/system.journal")
    found = gallery.run(f"{PROGRAM} doctor").stdout
    assert "ok    journal: persistent" in found


def test_the_doctor_finds_what_is_well_and_what_is_not(gallery: Container) -> None:
    done = gallery.run(f"{PROGRAM} doctor")
    graded = dict(row.split(maxsplit=2)[1::-1] for row in done.stdout.splitlines() if row[0] != " ")
    well = ("config", "groups", "models", "portrait", "journal", "service")
    assert {name: graded[f"{name}:"] for name in well} == dict.fromkeys(well, "ok"), done.stdout
    assert graded["camera:"] == graded["devices:"] == graded["connectors:"] == "fail", "there are none here"
    assert done.returncode == 1


def test_the_bundle_for_support_names_nobody(gallery: Container) -> None:
    gallery.sh(f"cd /root && {PROGRAM} logs --out logs.tar.gz && tar -xzf logs.tar.gz")
    host = gallery.sh("hostname")
    assert "lit at rest" in gallery.sh("cat /root/mona-lisa-logs/journal.txt")
    assert gallery.run(f"grep -rw {host} /root/mona-lisa-logs").returncode == 1
    assert gallery.run(r"grep -rE '([0-9]{1,3}\.){3}[0-9]{1,3}' /root/mona-lisa-logs").returncode == 1
    assert gallery.run("file /root/mona-lisa-logs/* 2>/dev/null | grep -i image").returncode == 1
