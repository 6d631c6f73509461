"""A picture on the card under a real systemd: who reads it, what that process may do, and what then hangs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nspawn.container import EYES, PROGRAM, SMALL, Container

pytestmark = pytest.mark.nspawn

CARD = "mona-lisa-card-portrait.service"
ANSWER = "/boot/firmware/mona-lisa.txt"
RELEASE = "/opt/mona-lisa/current"
WALL = "from PIL import Image; Image.new('RGB', (600, 800), 'grey').save('/boot/firmware/portrait.jpg')"


@pytest.fixture(scope="module")
def booted(root: Path) -> Iterator[Container]:
    """A machine with a boot partition; what the portrait unit needs of a boot is that it is started."""
    with Container(root, EYES % "--camera gallery", SMALL) as container:
        container.started()
        container.sh("mkdir -p /boot/firmware")
        yield container


def hanging(container: Container) -> str:
    return container.run("readlink /var/lib/mona-lisa/current").stdout.strip() or "sconosciuta"


def test_without_a_picture_on_the_card_nothing_is_started(booted: Container) -> None:
    booted.sh(f"systemctl start {CARD}")
    assert booted.show("ConditionResult", CARD) == "no"
    assert booted.show("ExecMainStartTimestamp", CARD) == ""


def test_a_picture_without_a_face_is_refused_on_the_card(booted: Container) -> None:
    booted.sh(f'{RELEASE}/venv/bin/python -c "{WALL}"; systemctl start {CARD}')
    booted.until(lambda: booted.show("ActiveState", CARD) == "inactive")
    told = booted.sh(f"cat {ANSWER}")
    assert told.startswith("portrait: portrait.jpg does not hang, the present portrait stays: no face")
    assert hanging(booted) == "sconosciuta"
    assert "portrait on the card: portrait.jpg does not hang" in booted.status()[1]
    assert (
        "warn  portrait: La Sconosciuta hangs; portrait.jpg does not hang"
        in booted.run(f"{PROGRAM} doctor").stdout
    )


def test_a_picture_is_read_by_the_services_user_and_hangs(booted: Container) -> None:
    # The unit's root has no right to read this one: only its owner can have.
    booted.sh(
        f"cd /boot/firmware; rm portrait.jpg; cp {RELEASE}/frames/astronaut.png PORTRAIT.PNG;"
        "chown mona-lisa PORTRAIT.PNG; chmod 600 PORTRAIT.PNG; echo 'title = \"Eileen\"' >portrait.toml;"
        f"systemctl start {CARD}"
    )
    booted.until(lambda: "PORTRAIT.PNG is being rendered" in booted.run(f"cat {ANSWER}").stdout)
    assert hanging(booted) == "sconosciuta", "meanwhile"
    pid = booted.sh("pgrep -f -- '--worker PORTRAIT.PNG'")
    known = dict(
        row.split(":\t", 1) for row in booted.sh(f"cat /proc/{pid}/status").splitlines() if ":\t" in row
    )
    assert booted.sh(f"ps -o user:20=,ni= -p {pid}").split() == ["mona-lisa", "19"]
    assert (int(known["CapEff"], 16), known["NoNewPrivs"], known["Seccomp"]) == (0, "1", "2")
    links = booted.sh(f"nsenter --target {pid} --net cat /proc/net/dev").splitlines()[2:]
    assert [link.split(":")[0].strip() for link in links] == ["lo"]

    booted.until(lambda: booted.show("ActiveState", CARD) == "inactive")
    assert "portrait: Eileen hangs (PORTRAIT.PNG, rendered in " in booted.sh(f"cat {ANSWER}")
    assert hanging(booted) == "portrait"
    booted.until(lambda: any("Eileen lit" in line for line in booted.said()))
    assert booted.show("NRestarts") == "0"
    assert booted.sh(
        "stat -c %U /var/lib/mona-lisa/portrait /var/lib/mona-lisa/.card-portrait.json"
    ).split() == (["mona-lisa"] * 2)

    # Once: a portrait that is chosen later stays.
    booted.sh(f"cd /; runuser -u mona-lisa -- {PROGRAM} portrait use sconosciuta; systemctl start {CARD}")
    booted.until(lambda: booted.show("ActiveState", CARD) == "inactive")
    assert hanging(booted) == "sconosciuta"
