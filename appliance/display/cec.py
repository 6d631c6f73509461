"""The monitor's power over HDMI-CEC: runs `cec-ctl`, and wakes the monitor while the house is open."""

import logging
import math
import os
import re
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from appliance.display.monitor import SYS_DRM, usable_connectors

log = logging.getLogger(__name__)

CEC_DEVICES: Final = Path("/dev")
NO_CEC_TOOL: Final = "hours.cec: no cec-ctl; install v4l-utils. The screen only goes black"
NO_CEC_ADAPTER: Final = "hours.cec: no /dev/cec*; the screen only goes black"
CEC_FAILED: Final = "hours.cec: %s: %s; the monitor may not listen to CEC"
CEC_ADAPTER_UNKNOWN: Final = "hours.cec: no adapter is known to belong to %s; sending through %s"

# Time after which a cec-ctl is killed, in seconds: televisions in deep standby answer late (guess).
_CEC_TIMEOUT: Final = 30.0
# Patterns in the output of cec-ctl (v4l-utils 1.22 and later), which ends with 0 even if a message is lost.
_CONNECTOR: Final = re.compile(r"DRM Connector Info\s*: card (\d+), connector (\d+)")
_ADDRESS: Final = re.compile(r"Physical Address\s*: ([0-9a-f.]+)")
_REFUSED: Final = re.compile(r"^\s*Tx, (?!OK)(.+)$", re.MULTILINE)
# Address of an adapter whose monitor is unplugged or has dropped the connection.
_NO_ADDRESS: Final = "f.f.f.f"


class CecReply(NamedTuple):
    """The output of a run of cec-ctl; `fault` is what went wrong, empty if nothing did."""

    text: str
    fault: str

    @property
    def address(self) -> str:
        """The adapter's physical address, empty while it has none."""
        found = _ADDRESS.search(self.text)
        return found[1] if found and found[1] != _NO_ADDRESS else ""


# A sequence of messages: yields the arguments of one cec-ctl after another and receives their replies.
CecMessages: TypeAlias = Generator[list[str], CecReply, None]


class CecSender:
    """Runs one cec-ctl after another in child processes; `step` never waits for them.

    A child that still runs when this process ends is not killed. systemd ends it when the service stops, and
    the next start sends its own messages.

    `connector` is the name of the connector where a monitor was last seen. Messages go through its adapter,
    or through all adapters as long as no monitor was seen. `switched` is whether the last wake also sent
    Active Source, which switches the monitor to our input.
    """

    def __init__(self, devices: Path = CEC_DEVICES, system: Path = SYS_DRM) -> None:
        """Find cec-ctl; a warning is logged if it is missing."""
        self.connector = ""
        self.switched = False
        self._devices, self._system = devices, system
        self._tool = shutil.which("cec-ctl")
        self._process: subprocess.Popen[bytes] | None = None
        self._output = -1
        self._started = 0.0
        self._round: CecMessages | None = None
        self._asked: CecMessages | None = None
        self._said = ""
        self._failed = False
        if not self._tool:
            log.warning(NO_CEC_TOOL)

    @property
    def busy(self) -> bool:
        """Whether something is still to be sent."""
        return self._round is not None

    def standby(self) -> None:
        """Send the monitor to standby, after the message that is being sent."""
        self._round = self._standby() if self._tool else None

    def wake(self) -> None:
        """Wake the monitor and switch it to our input, after the message that is being sent."""
        self._round = self._wake() if self._tool else None

    def step(self, now: float) -> None:
        """Start the next cec-ctl if the last one has ended; `now` is a moment on the monotonic clock."""
        reply = None
        if self._process:
            if self._process.poll() is None:
                if now - self._started >= _CEC_TIMEOUT:
                    self._process.kill()
                return
            reply = self._read(self._process)
            self._process = None
        if self._round is None:
            return
        try:
            # A sequence that has replaced another one did not ask for this reply.
            arguments = self._round.send(reply) if reply and self._asked is self._round else next(self._round)
        except StopIteration:
            self._round = None
        else:
            self._run(arguments, now)

    def _run(self, arguments: list[str], now: float) -> None:
        assert self._tool
        # A file in memory, because a pipe would break when this process starts itself anew.
        self._output = os.memfd_create("cec-ctl")
        self._asked, self._started = self._round, now
        try:
            self._process = subprocess.Popen(
                [self._tool, "--device", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            os.close(self._output)
            self._round = None
            self._note(" ".join(arguments), str(error))

    def _read(self, process: "subprocess.Popen[bytes]") -> CecReply:
        with os.fdopen(self._output, "rb") as output:
            output.seek(0)
            text = output.read().decode("utf-8", "replace")
        if process.returncode:
            last_line = (text.strip().splitlines() or ["no message"])[-1]
            return CecReply(text, f"ended with {process.returncode}: {last_line}")
        if refused := _REFUSED.search(text):
            return CecReply(text, refused[1])
        if text.count("Transmit from") != text.count("Sequence:") or "is unconfigured" in text:
            return CecReply(text, "not sent")  # the kernel refused the message
        return CecReply(text, "")

    def _wake(self) -> CecMessages:
        self.switched = False
        faults = []
        for adapter in (yield from self._adapters()):
            # 0 is the television; --playback gives us an address to send from. Without a physical address the
            # kernel sends this message, but not Active Source.
            reply = yield [adapter, "--playback", "--to", "0", "--image-view-on"]
            faults.append(reply.fault)
            if reply.address:
                reply = yield [adapter, "--active-source", f"phys-addr={reply.address}"]
                self.switched |= not reply.fault
        self._conclude("image-view-on", faults)

    def _standby(self) -> CecMessages:
        faults = []
        for adapter in (yield from self._adapters()):
            reply = yield [adapter, "--playback", "--to", "0", "--standby"]
            faults.append(reply.fault)
        self._conclude("standby", faults)

    def _adapters(self) -> Generator[list[str], CecReply, list[str]]:
        """Return the adapter of our connector; before a monitor was seen all adapters, as any may be ours."""
        adapters = sorted(str(path) for path in self._devices.glob("cec[0-9]*"))
        if not adapters and self._is_news(NO_CEC_ADAPTER):
            log.warning(NO_CEC_ADAPTER)
        if not self.connector or len(adapters) < 2:
            return adapters
        replies = {}
        for adapter in adapters:
            replies[adapter] = yield [adapter]
        names = self._names(replies)
        if ours := [adapter for adapter in adapters if names.get(adapter) == self.connector]:
            return ours
        # A USB adapter reports no connector; it has an address only if a monitor is connected to it.
        untold = [a for a in adapters if a not in names]
        ours = [a for a in untold if replies[a].address] or untold
        through = ", ".join(ours) or "none"
        if self._is_news(self.connector + through):
            log.warning(CEC_ADAPTER_UNKNOWN, self.connector, through)
        return ours

    def _names(self, replies: dict[str, CecReply]) -> dict[str, str]:
        """Return the connector of each adapter that reports it."""
        found = {a: _CONNECTOR.search(reply.text) for a, reply in replies.items()}
        told = {a: (match[1], int(match[2])) for a, match in found.items() if match}
        plugs = {
            card: _plugs(self._system, card, sorted(n for c, n in told.values() if c == card))
            for card, _ in told.values()
        }
        return {a: plugs[card][number] for a, (card, number) in told.items() if number in plugs[card]}

    def _conclude(self, what: str, faults: list[str]) -> None:
        if faults and all(faults):
            self._note(what, faults[-1])
        else:
            self._failed = False

    def _note(self, what: str, fault: str) -> None:
        if not self._failed:
            log.warning(CEC_FAILED, what, fault)
        self._failed = True

    def _is_news(self, what: str) -> bool:
        """Tell whether this differs from what was last logged about the adapters."""
        before, self._said = self._said, what
        return what != before


def _plugs(system: Path, card: str, numbers: list[int]) -> dict[int, str]:
    """Return the names of a card's connectors by the kernel's numbers; the adapters reported `numbers`."""
    found = {}
    for path in system.glob(f"card{card}-*/connector_id"):
        try:
            found[int(path.read_text())] = path.parent.name.partition("-")[2]
        except (OSError, ValueError):
            continue
    # Older kernels (6.1, 6.6) do not list the numbers, but names and numbers are in the same order.
    names = sorted(path.name.partition("-")[2] for path in system.glob(f"card{card}-HDMI-*"))
    return found or (dict(zip(numbers, names, strict=True)) if len(names) == len(numbers) else {})


# First pause between wake messages, in seconds, doubled each time (guess: televisions boot in 5 to 20 s).
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 60.0  # longest pause between two wake messages, in seconds (guess)
# Time after the first wake message after which a missing monitor counts as lost, in seconds (guess).
_WAKE_TIME: Final = 30.0


class MonitorWaker:
    """Decides when to wake the monitor; `CecSender` sends the messages.

    The messages are repeated until a monitor is connected and has switched to our input. If it is connected
    but does not accept the message, they are sent four times: it is on, and may not support CEC at all.
    """

    def __init__(self, devices: Path = CEC_DEVICES, system: Path = SYS_DRM) -> None:
        """Start; the monitor is woken at the first `step`."""
        self._system = system
        self._cec = CecSender(devices, system)
        self._seen = self._done = self._sent = False
        self._begun = self._due = -math.inf
        self._pause = _FIRST_PAUSE

    def step(self, now: float, is_open: bool) -> None:
        """Check the connectors, and send what is due at the moment `now` on the monotonic clock."""
        self._cec.step(now)
        plugs = usable_connectors(self._system)
        if plugs:
            self._cec.connector = plugs[0].name  # SDL uses the first
        was_seen, self._seen = self._seen, bool(plugs)
        if not is_open or (was_seen and not self._seen):
            self._done, self._sent, self._begun, self._due, self._pause = False, False, now, now, _FIRST_PAUSE
        elif self._seen and not was_seen:  # its adapter has a physical address now
            self._due, self._pause = now, _FIRST_PAUSE
        if not is_open or self._done or self._cec.busy:
            return
        if self._sent:  # a wake has just ended
            self._sent = False
            self._done = self._seen and (self._cec.switched or self._pause >= _LONGEST_PAUSE)
        elif now >= self._due:
            self._cec.wake()
            self._cec.step(now)
            self._sent = True
            self._due, self._pause = now + self._pause, min(2 * self._pause, _LONGEST_PAUSE)

    def standby(self) -> None:
        """Send the monitor to standby."""
        self._cec.standby()

    def waking(self, now: float) -> bool:
        """Tell whether a missing monitor may still be waking."""
        return now - self._begun < _WAKE_TIME
