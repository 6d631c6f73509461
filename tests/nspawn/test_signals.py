"""What the service does when it is told to read again or to end."""

import json

import pytest

from appliance.service import app, reporter, settings
from tests.nspawn import container
from tests.nspawn.container import PROGRAM, SMALL, UNIT, Container

pytestmark = pytest.mark.nspawn

CONFIG = f"/{container.CONFIG}"


def test_sighup_takes_up_a_new_portrait_without_a_black_moment(own: Container) -> None:
    own.sh("cp -a /var/lib/mona-lisa/sconosciuta /var/lib/mona-lisa/other")
    own.sh("sed -i 's/^title = .*/title = \"Another\"/' /var/lib/mona-lisa/other/pack.toml")
    pid = own.show("MainPID")
    own.sh(f"printf 'pack = \"/var/lib/mona-lisa/other\"\\n' >> {CONFIG}; systemctl reload {UNIT}")
    own.until(lambda: reporter.SWITCHED % "Another" in own.said())
    assert settings.CONFIG_TAKEN % CONFIG in own.said()
    assert own.show("MainPID") == pid and not own.warnings()
    flips = [json.loads(row)["frame"] for row in own.sh("cat /dev/shm/lit/lit.jsonl").splitlines()]
    assert None not in flips, "None is black"
    own.until(lambda: own.status()[0] == 0)


def test_a_reload_of_a_wrong_config_fails_and_changes_nothing(own: Container) -> None:
    refused = own.run(f"echo 'widht = 3' >> {CONFIG}; systemctl reload {UNIT}")
    assert refused.returncode != 0
    assert f'See "systemctl status {UNIT}"' in refused.stderr, "systemd says where to look"
    shown = own.sh(f"systemctl status --no-pager --full {UNIT}")
    assert "active (running)" in shown
    assert f"mona-lisa: {CONFIG}:4: display.widht" in shown
    own.until(own.warnings)
    (line,) = own.warnings()
    assert line.startswith(settings.CONFIG_WRONG % (settings.STAYS, CONFIG)) and "display.widht" in line
    # The service writes its state once a second, the log at once.
    own.until(lambda: own.status()[0] == 1)
    assert "display.widht" in own.status()[1]
    own.sh(f"printf '{SMALL}' > {CONFIG}; systemctl reload {UNIT}")
    own.until(lambda: own.status()[0] == 0)
    assert len(own.warnings()) == 1


def test_check_and_status_name_the_keys_a_reload_leaves(own: Container) -> None:
    own.sh(f"printf 'rotation = 90\\n[camera]\\nrate = 20\\n' >> {CONFIG}")
    after = "it counts after: sudo systemctl"
    rotation = f"{CONFIG}:4: display.rotation = 90; in force is 0; {after} restart mona-lisa"
    rate = f"{CONFIG}:6: camera.rate = 20.0; in force is 30.0; {after} reload mona-lisa"
    assert own.sh(f"{PROGRAM} config check").splitlines()[1:] == [rate, rotation]
    own.sh(f"systemctl reload {UNIT}")
    own.until(lambda: own.sh(f"{PROGRAM} config check").splitlines()[1:] == [rotation])
    assert settings.LATER % "display.rotation" in own.said()
    assert own.status()[1].splitlines()[-1] == rotation
    own.sh(f"systemctl restart {UNIT}")
    own.until(lambda: own.status()[0] == 0)
    assert own.sh(f"{PROGRAM} config check").splitlines()[1:] == []


def test_sighup_that_names_no_portrait_keeps_the_one_that_hangs(own: Container) -> None:
    own.sh(f"printf 'pack = \"/nowhere\"\\n' >> {CONFIG}; systemctl reload {UNIT}")
    own.until(lambda: own.status()[0] == 1)
    assert reporter.SWITCH_REFUSED % "/nowhere: no pack there" in own.status()[1]
    (line,) = own.warnings()
    assert line.startswith(reporter.SWITCH_REFUSED % "/nowhere")
    own.sh(f"printf '{SMALL}' > {CONFIG}; systemctl reload {UNIT}")
    own.until(lambda: own.status()[0] == 0)


def test_sigterm_ends_it_within_two_seconds(own: Container) -> None:
    # Held open: RemoveIPC clears what the service's user leaves in /dev/shm.
    last = own.sh(f"exec 3</dev/shm/lit/lit.jsonl; systemctl stop {UNIT}; tail -n 1 <&3")
    began, ended = (
        int(own.show(f"{name}TimestampMonotonic")) / 1e6 for name in ("ActiveExit", "InactiveEnter")
    )
    assert 0 < ended - began < 2.0
    assert own.show("Result") == "success"
    assert own.said()[-1] == app.ENDED
    assert json.loads(last)["frame"] is None, "the portrait went to black"
    assert own.status()[0] == 1


def test_ctrl_alt_del_at_the_frame_does_nothing(own: Container) -> None:
    """The kernel sends SIGINT to systemd for it; more than seven within two seconds are a burst."""
    pid = own.show("MainPID")
    own.sh("for press in 1 2 3 4 5 6 7 8 9; do kill -INT 1; sleep 0.05; done; sleep 1")
    assert own.show("ActiveState", "ctrl-alt-del.target") == "active", "it was pressed"
    assert own.sh("systemctl is-system-running; systemctl list-jobs", ok=(0, 1)).endswith("No jobs running.")
    assert (own.show("MainPID"), own.show("ActiveState")) == (pid, "active")
