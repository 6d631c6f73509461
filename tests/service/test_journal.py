import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import __version__
from appliance.assets import home_folder
from appliance.service import journal
from appliance.service.journal import BURST, REFILL, Bucket, Fields, RateLimit, pour
from appliance.terminal import MAX_LENGTH


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def record(message: str, *args: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("appliance", level, __file__, 1, message, args, None)


@given(st.lists(st.floats(0, 300), min_size=1, max_size=400))
def test_no_kind_of_line_is_written_too_often(gaps: list[float]) -> None:
    bucket: Bucket | None = None
    written: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        bucket, passes = pour(bucket, now)
        if passes:
            written.append(now)
    for i, first in enumerate(written):
        inside = sum(first <= moment <= first + 3600 for moment in written[i:])
        assert inside <= BURST + 3600 / REFILL + 1


def test_a_fault_flapping_all_day_writes_under_200_lines() -> None:
    clock = Clock()
    limit = RateLimit(clock)
    passed = 0
    for second in range(24 * 3600):
        clock.now = float(second)
        passed += limit.filter(record("camera lost (%s)", f"cause {second}"))
    assert passed <= BURST + 24 * 3600 / REFILL + 1


def test_what_was_left_out_is_told_and_other_lines_pass() -> None:
    clock = Clock()
    limit = RateLimit(clock)
    passed = [limit.filter(record("camera lost (%s)", "cable")) for _ in range(15)]
    assert passed == [True] * 10 + [False] * 5
    assert limit.filter(record("camera back"))
    clock.now = REFILL
    line = record("camera lost (%s)", "cable")
    assert limit.filter(line)
    assert line.getMessage() == journal.LEFT_OUT % ("camera lost (cable)", 5)
    clock.now = 2 * REFILL
    line = record("camera lost (%s)", "cable")
    assert limit.filter(line) and line.getMessage() == "camera lost (cable)"


def test_other_packages_are_limited_by_line_of_code() -> None:
    limit = RateLimit(Clock())
    passed = 0
    for i in range(1000):
        line = record(f"frame {i}: buffer 0x{i:x} came late")
        line.name, line.lineno = "picamera2.request", 120
        passed += limit.filter(line)
    assert passed == BURST
    assert len(limit._buckets) == 1, "and nothing grows"


def test_every_line_carries_what_is_known_as_fields() -> None:
    fields = Fields()
    fields.known["MONA_LISA_STATE"] = "blind"
    line = record("camera lost")
    assert fields.filter(line)
    assert vars(line)["MONA_LISA_STATE"] == "blind"
    assert vars(line)["MONA_LISA_VERSION"]


def test_elsewhere_the_log_is_plain_lines_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")  # another process's
    journal.set_up()
    logging.getLogger("appliance").warning("camera lost (%s)", "cable")
    assert capsys.readouterr().err == "WARNING camera lost (cable)\n"


def test_no_file_name_forges_a_line_of_the_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    journal.set_up()
    name = "a\x1b[2J\nWARNING all is well\r\u202e\u2028b\udcff"
    logging.getLogger("appliance").warning("%s cannot be read", name)
    logging.getLogger("appliance").warning("%s cannot be read", "x" * 70_000)
    try:
        raise ValueError(name)
    except ValueError:
        logging.getLogger("appliance").exception("unexpected")
    first, second, third, *trace = capsys.readouterr().err.split("\n")
    assert first.isprintable() and first.startswith("WARNING a\\u001b[2J\\u000aWARNING all")
    assert len(second) <= MAX_LENGTH and second.endswith("xx cannot be read")
    assert third == "ERROR unexpected" and trace[0].startswith("    Traceback")
    assert all(line.isprintable() and line.startswith("    ") for line in trace[:-1])


def test_the_journals_fields_are_plain_text_too() -> None:
    fields = Fields()
    fields.known["MONA_LISA_PORTRAIT"] = "La \x1b[31mGioconda\n"
    line = record("camera lost")
    assert fields.filter(line)
    assert vars(line)["MONA_LISA_PORTRAIT"] == "La \\u001b[31mGioconda\\u000a"


def test_lines_of_two_threads_are_counted_one_after_the_other() -> None:
    others: list[threading.Thread] = []

    def clock() -> float:
        if not others:  # a line comes from another thread while this one is counted
            others.append(threading.Thread(target=limit.filter, args=(record("camera lost"),)))
            others[0].start()
            others[0].join(0.1)
        return 0.0

    limit = RateLimit(clock)
    passed = 1 + limit.filter(record("camera lost"))
    others[0].join()
    passed += sum(limit.filter(record("camera lost")) for _ in range(20))
    assert passed == BURST


@pytest.mark.parametrize("library", [True, False], ids=["systemd-python", "without"])
def test_to_the_journal_it_logs_with_fields_if_it_can(tmp_path: Path, library: bool) -> None:
    """In a process of its own, whose standard error is a file that counts as the journal."""
    (tmp_path / "systemd").mkdir()
    (tmp_path / "systemd" / "__init__.py").touch()
    if library:
        (tmp_path / "systemd" / "journal.py").write_text(
            "import logging, sys\n"
            "class JournalHandler(logging.Handler):\n"
            "    def __init__(self, **options): super().__init__(); self.options = options\n"
            "    def emit(self, record): print('journal', self.options, record.MONA_LISA_VERSION, self.format(record))\n"
        )
    program = (
        "import os, logging; error = os.fstat(2)\n"
        "os.environ['JOURNAL_STREAM'] = f'{error.st_dev}:{error.st_ino}'\n"
        "from appliance.service import journal; journal.set_up()\n"
        "logging.getLogger('appliance.test').info('lit')"
    )
    with (tmp_path / "error").open("w") as error:
        environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{home_folder()}"}
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=error, text=True, env=environment
        )
    told = f"journal {{'SYSLOG_IDENTIFIER': 'mona-lisa'}} {__version__} lit\n"
    assert (done.returncode, done.stdout) == (0, told if library else "")
    assert (tmp_path / "error").read_text() == ("" if library else "INFO lit\n")
