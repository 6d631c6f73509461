"""The log and systemd: structured fields in the journal, plain lines elsewhere, and sd_notify(3)."""

import importlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from appliance import __version__
from appliance.terminal import printable_line


def notify(*fields: str) -> bool:
    """Send fields like "READY=1" or "STATUS=alone"; tell whether somebody listens.

    Without NOTIFY_SOCKET, or when nobody reads it any more, nothing happens: the portrait does not
    depend on who started it.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # the abstract namespace
    message = "\n".join(map(printable_line, fields))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)  # a systemd that does not read must not stop the picture
        try:
            sender.sendto(message.encode("utf-8", "replace"), address)
        except OSError:
            return False
    return True


LEFT_OUT: Final = "%s (%d lines like this were left out before it)"

# Ten lines of a kind at once, and one each ten minutes: a flapping cable or a busy gallery stays readable.
BURST: Final = 10.0
REFILL: Final = 600.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """The number of lines of a kind that may still be written, as of `moment`, and of those left out."""

    level: float
    moment: float
    left_out: int = 0


def pour(bucket: Bucket | None, now: float) -> tuple[Bucket, bool]:
    """Take a line out of a bucket (seconds on the monotonic clock); tell whether there was one."""
    level = BURST if bucket is None else min(BURST, bucket.level + (now - bucket.moment) / REFILL)
    left_out = bucket.left_out if bucket else 0
    if level < 1:
        return Bucket(level, now, left_out + 1), False
    return Bucket(level - 1, now, left_out), True


class RateLimit(logging.Filter):
    """Limits how often each kind of line passes; a kind is the constant it is made from.

    Other packages may put their figures in first: theirs is the line of code that logs.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.RLock()  # lines come from the main thread and the vision thread
        self._buckets: dict[tuple[str, str | int], Bucket] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the line may pass; what was left out before it is told with it."""
        ours = record.name.partition(".")[0] == "appliance"
        kind = (record.name, str(record.msg)) if ours else (record.pathname, record.lineno)
        with self._lock:
            bucket, passes = pour(self._buckets.get(kind), self._clock())
            if passes and bucket.left_out:
                record.msg, record.args = LEFT_OUT, (record.getMessage(), bucket.left_out)
                bucket = Bucket(bucket.level, bucket.moment)
            self._buckets[kind] = bucket
        return passes


class Fields(logging.Filter):
    """Adds what is known of the appliance to every line, as the journal's fields."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, str] = {"MONA_LISA_VERSION": __version__}

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; every line passes."""
        record.__dict__.update({name: printable_line(value) for name, value in self.known.items()})
        return True


FIELDS: Final = Fields()


class Line(logging.Formatter):
    """Writes one readable line, whatever a file's name, a title or a driver puts into it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's name)
        """Return the line; a traceback follows it."""
        return printable_line(super().formatMessage(record))

    def formatException(self, *error: Any) -> str:  # noqa: N802
        """Return a traceback, set in, so that no line of it can be taken for one of the log."""
        return "\n".join(
            f"    {printable_line(line)}" for line in super().formatException(*error).splitlines()
        )


def set_up() -> None:
    """Log to the journal if it listens and systemd-python is there, else to standard error."""
    handler: logging.Handler = logging.StreamHandler()
    handler.setFormatter(Line("%(levelname)s %(message)s"))
    if _journal_listens():
        try:
            journal: Any = importlib.import_module("systemd.journal")
        except ImportError:
            pass  # journald reads standard error as well, only without the fields
        else:
            handler = journal.JournalHandler(SYSLOG_IDENTIFIER="mona-lisa")
            handler.setFormatter(Line("%(message)s"))
    handler.addFilter(RateLimit())
    handler.addFilter(FIELDS)
    # Of others only what is wrong: picamera2 tells of every step.
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("appliance").setLevel(logging.INFO)


def _journal_listens() -> bool:
    """Tell whether standard error ends in the journal: see JOURNAL_STREAM in systemd.exec(5)."""
    error = os.fstat(2)
    return os.environ.get("JOURNAL_STREAM") == f"{error.st_dev}:{error.st_ino}"
