"""Sends the monitor to standby and wakes it over HDMI, with `cec-ctl` where it is installed."""

import logging
import shutil
import subprocess
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

NO_TOOL: Final = "hours.cec: no cec-ctl; install v4l-utils. The screen only goes black"
NO_ADAPTER: Final = "hours.cec: no /dev/cec*; the screen only goes black"
FAILED: Final = "hours.cec: %s ended with %d; the monitor may not listen to CEC"


class Cec:
    """Runs cec-ctl beside the loop, which never waits for it."""

    def __init__(self, devices: Path = Path("/dev")) -> None:
        """Find the tool and the adapters; a line in the log if either is missing."""
        self._tool = shutil.which("cec-ctl")
        self._adapters = sorted(str(path) for path in devices.glob("cec[0-9]*"))
        self._running: list[subprocess.Popen[bytes]] = []
        self._failed = False
        if not self._tool:
            log.warning(NO_TOOL)
        elif not self._adapters:
            log.warning(NO_ADAPTER)

    def standby(self) -> None:
        """Send the monitor on every adapter to standby."""
        self._send("--standby")

    def wake(self) -> None:
        """Wake the monitor on every adapter."""
        self._send("--image-view-on")

    @property
    def busy(self) -> bool:
        """Whether something is still being sent."""
        return bool(self._running)

    def reap(self) -> None:
        """Take note of what has ended; a failure is told once until the next success."""
        for process in [process for process in self._running if process.poll() is not None]:
            self._running.remove(process)
            if process.returncode:
                self._say(" ".join(map(str, process.args[1:])), process.returncode)  # type: ignore[index]
            else:
                self._failed = False

    def close(self) -> None:
        """Leave nothing running."""
        for process in self._running:
            process.kill()
            process.wait()
        self._running.clear()

    def _send(self, message: str) -> None:
        if not self._tool:
            return
        for adapter in self._adapters:
            try:
                process = subprocess.Popen(
                    # 0 is the television; --playback gives us an address to speak from.
                    [self._tool, "--device", adapter, "--playback", "--to", "0", message],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            except OSError as error:
                self._say(adapter, error.errno or -1)
            else:
                self._running.append(process)

    def _say(self, what: str, code: int) -> None:
        if not self._failed:
            log.warning(FAILED, what, code)
        self._failed = True
