"""`mona-lisa aim` takes camera and screen from the running service, which comes back whatever ends aim."""

import pytest

from appliance.service import camera_aiming
from tests.nspawn.container import PROGRAM, UNIT, Container

pytestmark = pytest.mark.nspawn

AIM = "mona-lisa-aim.service"


def aiming(own: Container) -> int:
    """Start aim as a person would, in a session of its own; return that session's process."""
    # Signals do what they do on a terminal, also when these tests themselves run under nohup.
    aim = f"env --default-signal {PROGRAM} aim --text --camera gallery --eyes 1.62"
    session = f"setsid {aim} </dev/null >/root/said 2>&1 & echo $!"
    own.sh("rm -f /root/said")  # what the session before said
    pid = int(own.sh(session))
    own.until(lambda: "Faces:" in own.run("cat /root/said").stdout)
    assert (own.show("ActiveState"), own.show("ActiveState", AIM)) == ("inactive", "active")
    return pid


def back(own: Container) -> None:
    """Wait until the portrait is back and aim is gone."""
    own.started()
    own.seeing()
    own.until(lambda: own.show("LoadState", AIM) == "not-found")


def test_the_service_comes_back_whatever_ends_aim(own: Container) -> None:
    """Six in a row, because the fifth start in ten minutes would else count as a service that keeps failing."""
    for ending in ("kill -KILL {}", "kill -HUP {}", "kill -TERM {}") * 2:
        session = aiming(own)
        assert own.show("PrivateNetwork", AIM) == "yes" and own.show("ProtectSystem", AIM) == "strict"
        assert own.show("User", AIM) == "mona-lisa"
        itself = own.show("MainPID", AIM)
        own.sh(ending.format(session))
        back(own)
        assert own.run(f"kill -0 {itself}").returncode == 1, "aim has ended"
        assert own.run("cat /root/said").stdout.startswith("Seen through gallery, ")
    assert own.show("ActiveState", "mona-lisa-failed.service") == "inactive"


def test_the_service_comes_back_when_aim_is_killed_or_fails(own: Container) -> None:
    for _ in range(2):
        aiming(own)
        own.sh(f"kill -KILL {own.show('MainPID', AIM)}")
        back(own)
    done = own.run(f"{PROGRAM} aim --text --camera replay:/nowhere")
    assert done.returncode == 1 and "/nowhere: cannot be read as a folder" in done.stdout + done.stderr
    back(own)


def test_aim_of_another_user_is_refused_and_the_service_stays(own: Container) -> None:
    done = own.run(f"setpriv --reuid=nobody --clear-groups {PROGRAM} aim --text --camera gallery")
    assert done.returncode == 1 and done.stderr == f"mona-lisa: {camera_aiming.SERVICE_RUNS}\n"
    assert own.show("ActiveState", UNIT) == "active"
