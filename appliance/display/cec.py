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

from appliance.display.monitor import SYSTEM, usable

log = logging.getLogger(__name__)

DEVICES: Final = Path("/dev")
NO_TOOL: Final = "hours.cec: no cec-ctl; install v4l-utils. The screen only goes black"
NO_ADAPTER: Final = "hours.cec: no /dev/cec*; the screen only goes black"
FAILED: Final = "hours.cec: %s: %s; the monitor may not listen to CEC"
UNTOLD: Final = "hours.cec: no adapter tells that it belongs to %s; sending through %s"

# Seconds after which a cec-ctl counts as hung and is killed: televisions in deep standby answer late (guess).
_HUNG: Final = 30.0
# What cec-ctl of v4l-utils 1.22 and later prints. Its exit code is 0 whether or not a message arrived.
_CONNECTOR: Final = re.compile(r"DRM Connector Info\s*: card (\d+), connector (\d+)")
_ADDRESS: Final = re.compile(r"Physical Address\s*: ([0-9a-f.]+)")
_REFUSED: Final = re.compile(r"^\s*Tx, (?!OK)(.+)$", re.MULTILINE)
_NO_ADDRESS: Final = "f.f.f.f"  # of an adapter whose monitor is unplugged or has let go of the line


class Reply(NamedTuple):
    """What a run of cec-ctl printed; `fault` says what went wrong, empty if nothing did."""

    text: str
    fault: str

    @property
    def address(self) -> str:
        """The adapter's physical address, empty while it has none."""
        found = _ADDRESS.search(self.text)
        return found[1] if found and found[1] != _NO_ADDRESS else ""


# A round of messages: yields the arguments of one cec-ctl after another and is sent their replies.
Round: TypeAlias = Generator[list[str], Reply, None]


class Cec:
    """Runs one cec-ctl after another; whoever calls `step` never waits for them.

    What is under way when the process ends is not killed by it. systemd ends it when the service
    stops; the next start sends its own.

    `connector` is the name of the connector whose monitor was seen last: messages go through its
    adapter, or through all while none was seen. `switched` tells whether the last wake could also
    send Active Source.
    """

    def __init__(self, devices: Path = DEVICES, system: Path = SYSTEM) -> None:
        """Find the tool; a line in the log if it is missing."""
        self.connector = ""
        self.switched = False
        self._devices, self._system = devices, system
        self._tool = shutil.which("cec-ctl")
        self._process: subprocess.Popen[bytes] | None = None
        self._output = -1
        self._started = 0.0
        self._round: Round | None = None
        self._asked: Round | None = None
        self._said = ""
        self._failed = False
        if not self._tool:
            log.warning(NO_TOOL)

    @property
    def busy(self) -> bool:
        """Whether something is still to be sent."""
        return self._round is not None

    def standby(self) -> None:
        """Send the monitor to standby, after the message that is under way."""
        self._begin(self._standby())

    def wake(self) -> None:
        """Wake the monitor and switch it to our input, after the message that is under way."""
        self._begin(self._wake())

    def step(self, now: float) -> None:
        """Go on if the last cec-ctl has ended by the moment `now` of the monotonic clock."""
        reply = None
        if self._process:
            if self._process.poll() is None:
                if now - self._started >= _HUNG:
                    self._process.kill()
                return
            reply = self._read(self._process)
            self._process = None
        if self._round is None:
            return
        try:
            # A round that has replaced another has not asked for this reply.
            arguments = self._round.send(reply) if reply and self._asked is self._round else next(self._round)
        except StopIteration:
            self._round = None
        else:
            self._run(arguments, now)

    def _begin(self, messages: Round) -> None:
        if self._tool:
            self._round = messages

    def _run(self, arguments: list[str], now: float) -> None:
        assert self._tool
        # A file in memory, because a pipe would break when this process is replaced by its successor.
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

    def _read(self, process: "subprocess.Popen[bytes]") -> Reply:
        with os.fdopen(self._output, "rb") as output:
            output.seek(0)
            text = output.read().decode("utf-8", "replace")
        if process.returncode:
            return Reply(text, f"ended with {process.returncode}: {_last_line(text)}")
        if refused := _REFUSED.search(text):
            return Reply(text, refused[1])
        if text.count("Transmit from") != text.count("Sequence:") or "is unconfigured" in text:
            return Reply(text, "not sent")  # the kernel refused it
        return Reply(text, "")

    def _wake(self) -> Round:
        self.switched = False
        faults = []
        adapters = yield from self._adapters()
        for adapter in adapters:
            # 0 is the television; --playback gives us an address to speak from. Without a physical
            # address the kernel lets this message through, but no Active Source.
            reply = yield [adapter, "--playback", "--to", "0", "--image-view-on"]
            faults.append(reply.fault)
            if reply.address:
                reply = yield [adapter, "--active-source", f"phys-addr={reply.address}"]
                self.switched |= not reply.fault
        self._conclude("image-view-on", faults)

    def _standby(self) -> Round:
        faults = []
        adapters = yield from self._adapters()
        for adapter in adapters:
            reply = yield [adapter, "--playback", "--to", "0", "--standby"]
            faults.append(reply.fault)
        self._conclude("standby", faults)

    def _adapters(self) -> Generator[list[str], Reply, list[str]]:
        """Return the adapter of our connector; all where no monitor was seen yet, because any may be ours."""
        adapters = sorted(str(path) for path in self._devices.glob("cec[0-9]*"))
        if not adapters and self._is_news(NO_ADAPTER):
            log.warning(NO_ADAPTER)
        if not self.connector or len(adapters) < 2:
            return adapters
        replies = {}
        for adapter in adapters:
            replies[adapter] = yield [adapter]
        names = self._names(replies)
        if ours := [adapter for adapter in adapters if names.get(adapter) == self.connector]:
            return ours
        # A USB adapter tells no connector; it has an address only if a monitor is behind it.
        untold = [a for a in adapters if a not in names]
        ours = [a for a in untold if replies[a].address] or untold
        through = ", ".join(ours) or "none"
        if self._is_news(self.connector + through):
            log.warning(UNTOLD, self.connector, through)
        return ours

    def _names(self, replies: dict[str, Reply]) -> dict[str, str]:
        """Name the connectors to which adapters belong, for those that tell it."""
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
            log.warning(FAILED, what, fault)
        self._failed = True

    def _is_news(self, what: str) -> bool:
        """Tell whether something else was said of the adapters before."""
        before, self._said = self._said, what
        return what != before


def _plugs(system: Path, card: str, numbers: list[int]) -> dict[int, str]:
    """Return the names of a card's connectors by the kernel's numbers; `numbers` are those of adapters."""
    found = {}
    for path in system.glob(f"card{card}-*/connector_id"):
        try:
            found[int(path.read_text())] = path.parent.name.partition("-")[2]
        except (OSError, ValueError):
            continue
    if found:
        return found
    # Older kernels (6.1, 6.6) do not show the numbers, but every kernel counts names and numbers up together.
    names = sorted(path.name.partition("-")[2] for path in system.glob(f"card{card}-HDMI-*"))
    return dict(zip(numbers, names, strict=True)) if len(names) == len(numbers) else {}


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no word"])[-1]


# Seconds between two wakes: doubled from the first to the longest (guess: a television boots in 5 to 20 s).
_FIRST: Final = 5.0
_LONGEST: Final = 60.0
# Seconds that a monitor may take to come back after the first wake before it counts as lost (guess).
_WAKES: Final = 30.0


class Waker:
    """Decides when the monitor is woken; `Cec` sends what is needed.

    A wake is repeated until a monitor is seen and was switched to our input. One that is seen but
    does not take the message is asked four times: it is lit, and may not listen to CEC at all.
    """

    def __init__(self, devices: Path = DEVICES, system: Path = SYSTEM) -> None:
        """Prepare to wake the monitor at the first `step`."""
        self._system = system
        self._cec = Cec(devices, system)
        self._seen = self._done = self._sent = False
        self._begun = self._due = -math.inf
        self._pause = _FIRST

    def step(self, now: float, is_open: bool) -> None:
        """Look at the connectors and send what is due at the moment `now` of the monotonic clock."""
        self._cec.step(now)
        plugs = usable(self._system)
        if plugs:
            self._cec.connector = plugs[0].name  # SDL takes the first
        was_seen, self._seen = self._seen, bool(plugs)
        if not is_open or (was_seen and not self._seen):
            self._done, self._sent, self._begun, self._due, self._pause = False, False, now, now, _FIRST
        elif self._seen and not was_seen:  # its adapter has a physical address now
            self._due, self._pause = now, _FIRST
        if not is_open or self._done or self._cec.busy:
            return
        if self._sent:  # a wake has just ended
            self._sent = False
            self._done = self._seen and (self._cec.switched or self._pause >= _LONGEST)
        elif now >= self._due:
            self._cec.wake()
            self._cec.step(now)
            self._sent = True
            self._due, self._pause = now + self._pause, min(2 * self._pause, _LONGEST)

    def standby(self) -> None:
        """Send the monitor to standby."""
        self._cec.standby()

    def waking(self, now: float) -> bool:
        """Tell whether a monitor that is away may still be on its way back."""
        return now - self._begun < _WAKES
