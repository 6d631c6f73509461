import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.terminal import MAX_LENGTH, printable_line

UNPRINTED = "\x00\t\n\r\x1b\x7f\x85\x9b\xad\u061c\u200b\u200e\u202a\u202e\u2028\u2029\u2066\u2069\ufeff\udcff\U000e0041"


@pytest.mark.parametrize("char", UNPRINTED)
def test_what_moves_the_cursor_or_turns_the_text_is_spelled_out(char: str) -> None:
    assert printable_line(f"a{char}b") in (f"a\\u{ord(char):04x}b", f"a\\U{ord(char):08x}b")


@pytest.mark.parametrize(
    "text", ["Gräfin Ö.", "モナ・リザ\u3000", "क्\u200cष", "10\xa0%", "👩\u200d🎨", 'a "quoted" \\path']
)
def test_letters_of_every_language_stay_as_they_are(text: str) -> None:
    assert printable_line(text) == text


@given(st.text() | st.integers(1, 70_000).map(lambda count: "\x1b" * count))
def test_every_message_is_one_line_that_fits_on_a_screen(text: str) -> None:
    line = printable_line(text)
    assert len(line) <= MAX_LENGTH and len(f"{line} ".splitlines()) == 1
    assert not {"\x1b", "\x9b", "\u202e"} & set(line)


def test_a_long_message_keeps_its_beginning_and_end() -> None:
    line = printable_line(f"config.toml:3: gaze.{'x' * 70_000} = 1; expected one of gain, contact")
    assert line.startswith("config.toml:3: gaze.xxx") and line.endswith("; expected one of gain, contact")
    assert "characters left out" in line and len(line) == MAX_LENGTH
