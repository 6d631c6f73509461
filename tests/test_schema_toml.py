import time
import tomllib
from pathlib import Path

import pytest

from appliance.schema import MOST_BYTES, MOST_PARTS, Name, names, parse_toml, read_toml_text, toml_value

# What could be taken for names and lines, and is none: in strings, arrays, comments.
TEXT = '''\
title = "[a]\\"b = 1" # [c]
"quoted" . 'key'.bare = """
[d] ""e = 2\\"" # no end
"""
literal = \'\'\'
[f]''\'\'\'
list = [
  [ 1, 2 ], # ] "
  { g = 3 }]

 [ table . "with dots." ] # [h]
x=1
[[many]]
y = 2'''


def test_names_are_found_despite_strings_and_comments() -> None:
    tomllib.loads(TEXT)  # else it would show nothing
    assert list(names(TEXT)) == [
        Name(1, False, ("title",)),
        Name(2, False, ("quoted", "key", "bare")),
        Name(5, False, ("literal",)),
        Name(7, False, ("list",)),
        Name(11, True, ("table", "with dots.")),
        Name(12, False, ("table", "with dots.", "x")),
        Name(13, True, ("many",)),
        Name(14, False, ("many", "y")),
    ]


def test_either_line_end_counts_and_no_other() -> None:
    text = "# a\u0085b\u2028c\u2029d\r\nx = '\u0085'\n"
    assert [name.line for name in names(text)] == [2]


@pytest.mark.parametrize(
    "text",
    [
        "a = [\n[" + " " * 60_000 + "\n1]]",
        "a = '''\n[" + " " * 60_000 + "'''",
        "a = 1 #" + " [" * 30_000,
        'a = """' + '\\"""' * 15_000,
        "'''" * 20_000,
        '"""\\' * 15_000,
        '""a' * 20_000,
    ],
)
def test_the_time_is_linear_in_the_text_even_if_it_is_no_toml(text: str) -> None:
    began = time.process_time()
    for _ in names("[" + text), names(text):
        pass
    try:
        parse_toml(text)
    except ValueError:
        pass
    else:
        assert list(names(text))
    assert time.process_time() - began < 2  # cubic before: 0.5 s for 1,000 spaces after a bracket


def test_a_name_of_thousands_of_parts_is_refused_at_once() -> None:
    began = time.process_time()
    header = f"[{'.'.join('a' * 8000)}]\n" + "".join(f"k{i} = 1\n" for i in range(5000))
    for text in (header, "x = {" + " . ".join(["'a'"] * 8000) + " = 1}"):
        with pytest.raises(ValueError, match=rf"a name of more than {MOST_PARTS} parts \(at line 1\)"):
            parse_toml(text)
    assert time.process_time() - began < 1  # tomllib takes over 5 s for the first
    parts = ".".join("a" * MOST_PARTS)
    assert parse_toml(f"{parts} = ['1.2.3.4.5.6.7.8.9.10', 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]")


def test_a_file_beyond_the_bound_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * MOST_BYTES)
    assert len(read_toml_text(path)) == MOST_BYTES
    path.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(OSError, match="65,537 bytes, expected at most 65,536"):
        read_toml_text(path)


def test_any_value_can_be_written_in_an_error() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert toml_value(deep) == "a value nested too deeply to write"
    assert toml_value(1 << 50_000) == "a number too long to write"
    assert [toml_value(v) for v in (float("nan"), True, "\u00e9", [1])] == ["nan", "true", '"é"', "[1]"]


def test_numbers_in_a_list_are_written_as_toml_has_them() -> None:
    text = toml_value([1, 2.5, float("inf"), float("-inf"), ["a", True]])
    assert text == '[1, 2.5, inf, -inf, ["a", true]]'
    assert tomllib.loads(f"x = {text}")["x"] == [1, 2.5, float("inf"), float("-inf"), ["a", True]]
