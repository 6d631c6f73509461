"""A television at a fake adapter and connector: it wakes by `cec-ctl`, which writes down what it was asked."""

import os
from pathlib import Path

import pytest

INFO = """Driver Info:
\tDriver Name                : vc4_hdmi
\tCapabilities               : 0x0000011e
\t\tConnector Info
\tDRM Connector Info         : card {card}, connector {number}
\tPhysical Address           : {address}
\tLogical Address Mask       : 0x0010
"""
SENT = """
Transmit from Playback Device 1 to TV (4 to 0):
\tSequence: 1 Tx Timestamp: 12.345s
"""
REFUSED = SENT + "\tTx, Not Acknowledged (4), Max Retries\n"

# Prints what the adapter's files say, as cec-ctl does; on a wake the television may switch on.
SCRIPT = """#!/bin/sh
echo "$@" >>{asked}
about={about}/$(basename $2)
sleep $(cat $about.takes)
cat $about.info
[ $# -gt 2 ] && cat $about.reply
case "$*" in
*--image-view-on*) [ -e $about.wakes ] && . $about.wakes ;;
esac
echo "$@" >>{asked}.ended
exit $(cat $about.code)
"""


class Rack:
    """Adapters, connectors and `cec-ctl` in a folder, with one television that sleeps at first."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.devices, self.system, self.asked = folder / "dev", folder / "drm", folder / "asked"
        self._about = folder / "about"
        for made in (self.devices, self.system, self._about, folder / "bin"):
            made.mkdir(parents=True)
        self.asked.touch()
        tool = folder / "bin" / "cec-ctl"
        tool.write_text(SCRIPT.format(asked=self.asked, about=self._about))
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")

    def adapter(self, name: str, number: int = 0, address: str = "f.f.f.f", card: int = 1) -> str:
        """Plug in an adapter of the connector with that number; 0: it does not tell."""
        self._set(name, "reply", SENT)
        self._set(name, "code", "0")
        self._set(name, "takes", "0")
        info = INFO.format(card=card, number=number, address=address)
        self._set(name, "info", info if number else "\tPhysical Address           : " + address + "\n")
        (self.devices / name).touch()
        return str(self.devices / name)

    def connector(self, name: str, number: int = 0) -> Path:
        """Add a connector without a monitor; 0: an older kernel, which tells no number."""
        plug = self.system / name
        plug.mkdir()
        (plug / "modes").touch()
        (plug / "status").write_text("disconnected\n")
        if number:
            (plug / "connector_id").write_text(f"{number}\n")
        return plug

    def plug_in(self, plug: Path, connected: bool = True) -> None:
        """Let a monitor take the line, or let go of it."""
        (plug / "modes").write_text("1080x1920\n" if connected else "")
        (plug / "status").write_text("connected\n" if connected else "disconnected\n")

    def wakes(self, name: str, plug: Path, address: str) -> None:
        """Let a television at this adapter and connector switch on when it is woken."""
        awake = (self._about / f"{name}.info").read_text().replace("f.f.f.f", address)
        self._set(name, "awake", awake)
        self._set(
            name,
            "wakes",
            f"cp $about.awake $about.info; echo 1080x1920 >{plug}/modes; echo connected >{plug}/status\n",
        )

    def sleeps(self, name: str, plug: Path) -> None:
        """Switch the television off, as with its remote: it lets go of the line, and does not wake."""
        info = (self._about / f"{name}.info").read_text().splitlines()
        rows = [row.partition(":")[0] + ": f.f.f.f" if "Physical Address" in row else row for row in info]
        self._set(name, "info", "\n".join(rows) + "\n")
        self._set(name, "wakes", "")
        self.plug_in(plug, connected=False)

    def unfinished(self) -> int:
        """How many runs of cec-ctl have not come to their end, or were killed."""
        ended = self.asked.with_name("asked.ended")
        done = ended.read_text().splitlines() if ended.exists() else []
        return len(self.asked.read_text().splitlines()) - len(done)

    def reply(self, name: str, text: str = SENT, code: int = 0) -> None:
        """Choose what the next messages through an adapter get as an answer."""
        self._set(name, "reply", text)
        self._set(name, "code", str(code))

    def fails(self, name: str, text: str) -> None:
        """Let cec-ctl print nothing but a line, and end with 1."""
        self._set(name, "info", "")
        self.reply(name, text, 1)

    def takes(self, name: str, seconds: float) -> None:
        """Choose how long a message through an adapter takes."""
        self._set(name, "takes", str(seconds))

    def messages(self) -> list[str]:
        """What was sent, without the questions for an adapter's address and connector."""
        rows = [row.removeprefix(f"--device {self.devices}/") for row in self.asked.read_text().splitlines()]
        return [row for row in rows if " " in row]

    def _set(self, name: str, what: str, text: str) -> None:
        (self._about / f"{name}.{what}").write_text(text)
