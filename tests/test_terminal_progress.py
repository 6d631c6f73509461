import io

import pytest

from appliance.terminal import show_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_bar_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert list(show_progress("abc", 3, "rendering")) == ["a", "b", "c"]
    last = terminal.getvalue().split("\r")[-1]
    assert last == "rendering [##############################] 3/3\n"


def test_items_that_fail_leave_the_line_to_what_is_told_next(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with pytest.raises(ZeroDivisionError):
        list(show_progress((1 // x for x in (2, 1, 0, 3)), 4, "watching"))
    assert terminal.getvalue().endswith(" 2/4\n")


def test_elsewhere_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    assert list(show_progress(range(5), 5, "rendering")) == [0, 1, 2, 3, 4]
    assert log.getvalue() == ""
