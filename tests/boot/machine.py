"""A virtual machine with a screen and a console: qemu without network, emulated so that it runs anywhere."""

import json
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from PIL import Image

from tests.boot.image import Disk

# Newer processors make qemu 7.2's emulation of AVX crash Mesa's compiled shaders; more than one
# made a kernel in eight die of code that was patched while it ran.
_QEMU: Final = {
    "amd64": ("qemu-system-x86_64", "-M", "q35", "-cpu", "Nehalem"),
    "arm64": ("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72"),
}
_SERIAL: Final = {"amd64": "ttyS0", "arm64": "ttyAMA0"}
# A PC's kernel panics when its timer does not tick ten times at once; on a busy host it may not.
_SPARED: Final = {"amd64": ("no_timer_check",), "arm64": ()}


class MachineError(Exception):
    """The machine did not do what it was asked within its time."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a command in the machine printed, and its exit code."""

    text: str
    code: int


class Machine:
    """A machine that is switched on when entered and has its power cut when left."""

    def __init__(self, disk: Disk, folder: Path, screen: tuple[int, int], boot_options: str = "") -> None:
        """Describe the machine.

        Parameters
        ----------
        disk : what it boots; written to
        folder : for its sockets and the log of its serial port, `serial.log`
        screen : width and height of the monitor's mode, pixels
        boot_options : more words for the kernel's command line
        """
        self._disk, self._folder, self._screen, self._options = disk, folder, screen, boot_options
        self._asking, self._typing = threading.Lock(), threading.Lock()
        self.began = 0.0

    def __enter__(self) -> Self:
        """Switch on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # Unix sockets have short names.
        self._sockets = Path(tempfile.mkdtemp(prefix="boot-"))
        self._log = self._folder / "serial.log"
        self.began = time.monotonic()
        self._qemu = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self._monitor = self._connect("monitor", 60)
        self._replies = self._monitor.makefile("r")
        self._replies.readline()
        self.ask("qmp_capabilities")
        self._console = self._connect("console", 10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cut the power; after a failure, keep the journal."""
        if error is not None and self.on:
            self.keep_journal()
        self.cut()

    def keep_journal(self) -> None:
        """Leave the journal of this boot in the machine's folder, if the console still answers."""
        with suppress(MachineError, OSError):
            self._console.sendall(b"\x03")  # whatever it waits for; what is typed at once may be lost
            self.await_console(30)
            journal = self.run("journalctl -b --no-pager -o short-monotonic", 60).text
            (self._folder / "journal.log").write_text(journal)

    def cut(self) -> None:
        """Cut the power: what was not written to the disk is lost."""
        if self._qemu.poll() is None:
            self._qemu.kill()
        self._qemu.wait()
        for connection in (self._replies, self._monitor, self._console):
            connection.close()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def await_off(self, timeout: float) -> None:
        """Wait until the system has switched the machine off; raises `MachineError`."""
        try:
            self._qemu.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise MachineError(f"still on after {timeout:g} s; see {self._log}") from error

    @property
    def on(self) -> bool:
        """Whether it runs; a kernel that panics switches it off."""
        return self._qemu.poll() is None

    @property
    def uptime(self) -> float:
        """Seconds since power-on."""
        return time.monotonic() - self.began

    def ask(self, command: str, **arguments: Any) -> Any:
        """Give qemu's monitor a command (QMP) and return its answer; raises `MachineError`."""
        with self._asking:
            message = {"execute": command, "arguments": arguments}
            self._monitor.sendall(json.dumps(message).encode() + b"\n")
            while True:
                line = self._replies.readline()
                if not line:
                    raise MachineError(f"{command}: qemu has ended; see {self._log}")
                reply = json.loads(line)
                if "error" in reply:
                    raise MachineError(f"{command}: {reply['error']['desc']}")
                if "return" in reply:
                    return reply["return"]

    def look(self) -> Image.Image:
        """Return what the monitor shows, RGB."""
        path = self._sockets / "screen.ppm"
        self.ask("screendump", filename=str(path))
        with Image.open(path) as image:
            return image.convert("RGB")

    def run(self, command: str, timeout: float = 120) -> Output:
        """Run a shell command as root on the console.

        Raises
        ------
        MachineError
            If it does not end in time.
        """
        with self._typing:
            self._console.settimeout(1)
            mark = f"{time.monotonic_ns():x}"
            # The shell's echo of this line does not hold the marks in the form that is looked for, and its
            # prompt may come along with the last one.
            line = f"printf '<%s>' {mark}; {{ {command}\n}} </dev/null 2>&1; printf '<%s:%d>' {mark} $?\n"
            self._console.sendall(line.encode())
            heard, end = "", time.monotonic() + timeout
            while not (found := re.search(rf"<{mark}>(.*)<{mark}:(\d+)>", heard, re.DOTALL)):
                if time.monotonic() > end or not self.on:
                    raise MachineError(f"{command}: no answer in {timeout:g} s, heard {heard[-300:]!r}")
                with suppress(TimeoutError):
                    heard += self._console.recv(65536).decode(errors="replace")
        return Output(found[1].replace("\r\n", "\n"), int(found[2]))

    def await_console(self, timeout: float) -> None:
        """Wait until the console answers; what is typed before the shell listens is lost."""
        end = time.monotonic() + timeout
        while True:
            try:
                self.run("true", 3)
            except MachineError:
                if time.monotonic() > end:
                    raise
            else:
                return

    def _connect(self, name: str, patience: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + patience
        while True:
            try:
                connection.connect(str(self._sockets / name))
            except OSError as error:
                if time.monotonic() > end or not self.on:
                    raise MachineError(f"qemu did not start ({error}); see {self._log}") from error
                time.sleep(0.05)
            else:
                return connection

    def _command(self) -> list[str]:
        disk, sockets = self._disk, self._sockets
        width, height = self._screen
        return [
            *("setpriv", "--pdeathsig", "KILL"),  # no machine outlives a test that was killed
            *_QEMU[disk.arch],
            *("-accel", "tcg", "-smp", "1", "-m", "1536"),
            *("-kernel", str(disk.kernel), "-initrd", str(disk.initrd)),
            *("-append", kernel_options(disk, self._options)),
            *("-drive", f"file={disk.path},if=virtio,format=qcow2,cache=writeback"),
            *("-vga", "none") * (disk.arch == "amd64"),
            *("-device", f"virtio-gpu-pci,xres={width},yres={height}"),
            *("-qmp", f"unix:{sockets / 'monitor'},server=on,wait=off"),
            *("-chardev", f"socket,id=console,path={sockets / 'console'},server=on,wait=off"),
            *("-device", "virtio-serial-pci", "-device", "virtconsole,chardev=console"),
            *("-serial", f"file:{self._log}", "-monitor", "none"),
            *("-display", "none", "-nic", "none", "-no-reboot"),
        ]


def kernel_options(disk: Disk, more: str = "") -> str:
    """Return the boot partition's command line for the machine.

    The names of devices are its own. It ends when its kernel panics, and is spared what slows emulation.
    """
    names = {"console=serial0,115200": f"console={_SERIAL[disk.arch]}"}
    words = [names.get(word, word) for word in disk.cmdline.split() if not word.startswith("root=")]
    spared = "audit=0", "mitigations=off", *_SPARED[disk.arch]
    return " ".join([f"root={disk.root}", "rw", *words, *spared, "panic=1", more])
