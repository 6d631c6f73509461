"""20,000 damaged configs, and walks and status files, which are texts from outside as well."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import appliance
from appliance.gallery.walks import bundled_walks
from tests.mutations.batches import faults
from tests.mutations.mutate import by_bytes
from tests.service.test_status import FIGURES

pytestmark = pytest.mark.mutations

_PACKAGE = Path(appliance.__file__).parent
_LETTERS = (*"\x00\x0b\x0c\r\x1b\x7f\x85\u2028\u2029\u202e\ufeff\ud7ff\U0010ffff\u0301", "é", "\r\n")
_SIGNS = (*"[]{}=.,#\"'\\", '"""', "'''", "[[", "]]", "\\u0041", "\\ud800", "\n")
_VALUES = (
    *(
        "nan",
        "-inf",
        "0x" + "f" * 5000,
        "9" * 4000,
        "1e999",
        "-0",
        "1_000",
        "true",
        '""',
        "[]",
        "{}",
        "[[[[1]]]]",
    ),
    *(
        "1979-05-27T07:32:00Z",
        "{ a.b.c = 1 }",
        "[" * 400 + "]" * 400,
        "[" * 5000,
        "{a=" * 300 + "1" + "}" * 300,
    ),
    *('"\u2028"', '"\\u0085"', "'[gaze]'", '"""\n[gaze]\n"""', "'''\n[" + " " * 3000 + "'''", '"#"', "'='"),
    *("[\n[" + " " * 3000 + "\n1]]", "[ # ]\n1]", '"' + "x" * 20_000 + '"', "'" + "é" * 500 + "'"),
)


def changed(text: str, rng: random.Random) -> bytes:
    """Change a TOML or JSON text as editors, people and attackers do."""
    rows = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 5))):
        i = rng.randrange(len(rows))
        row, kind = rows[i], rng.randrange(10)
        at = rng.randrange(len(row) + 1)
        if kind == 0:
            rows[i] = row[:at] + rng.choice(_LETTERS) + row[at:]
        elif kind == 1:
            rows[i] = row[:at] + rng.choice(_SIGNS) + row[at:]
        elif kind in (2, 3) and "=" in row:
            rows[i] = row.partition("=")[0] + "= " + rng.choice(_VALUES)
        elif kind == 4:
            rows.insert(rng.randrange(len(rows) + 1), row)
        elif kind == 5:
            rows[i] = row[:at] + " " * rng.choice((1, 5000)) + row[at:]
        elif kind == 6:
            rows[i] = "# " + rng.choice(_LETTERS) + row
        elif kind == 7 and "=" in row:
            key, _, value = row.partition("=")
            rows[i] = (
                rng.choice(("", "gaze.", "a" + ".a" * 3000 + ".", "'gaze' . ")) + f"{key.strip()!r} = {value}"
            )
        elif kind == 8:
            rows[i] = row[:at] + row[at + rng.choice((1, 9)) :]
        else:
            rows[i] = row + " # " + rng.choice(_LETTERS) + rng.choice(_SIGNS)
    data = rng.choice(("\n", "\n", "\r\n", "\r")).join(rows).encode("utf-8", "surrogatepass")
    return by_bytes(data, rng) if rng.random() < 0.1 else rng.choice((b"", b"", b"\xef\xbb\xbf")) + data


def config_texts() -> list[str]:
    """The printed config with every key set, the same without its comments, and shorter ones."""
    printed = (_PACKAGE / "config.toml").read_text("utf-8")
    whole = re.sub(r"(?m)^#(?=\w+ = )", "", printed)
    plain = "\n".join(row for row in whole.split("\n") if row and row[0] != "#")
    return [
        whole,
        plain,
        "[gaze]\ncamera_up = 3.0 # mine\n\n[camera]\nrate = 20\n",
        "gaze = { gain = 1.5 }\n",
        "",
    ]


def test_a_damaged_config_is_read_or_refused_in_one_line(
    tmp_path: Path, count: Callable[[int], int], seed: int
) -> None:
    rng, texts, files = random.Random(seed), config_texts(), []
    for number in range(count(18_000)):
        folder = tmp_path / f"{number // 100:03d}"  # whoever writes a config looks through its folder
        folder.mkdir(exist_ok=True)
        files.append(folder / f"{number:05d}.toml")
        files[-1].write_bytes(changed(texts[number % len(texts)], rng))
    assert faults("config", files) == []


def test_a_damaged_walk_is_read_or_refused_in_one_line(
    tmp_path: Path, count: Callable[[int], int], seed: int
) -> None:
    rng, files = random.Random(seed), []
    texts = [(_PACKAGE / "gallery" / "walks" / f"{name}.toml").read_text("utf-8") for name in bundled_walks()]
    for number in range(count(1500)):
        files.append(tmp_path / f"{number:04d}.toml")
        files[-1].write_bytes(changed(texts[number % len(texts)], rng))
    assert faults("walk", files) == []


def test_a_damaged_status_gets_an_answer(tmp_path: Path, count: Callable[[int], int], seed: int) -> None:
    text = json.dumps({**FIGURES, "monotonic": 5.0, "sentence": "alone", "fault": ""}, indent=1)
    rng, files = random.Random(seed), []
    for number in range(count(500)):
        folder = tmp_path / f"{number:03d}"
        folder.mkdir()
        files.append(folder / "status.json")
        files[-1].write_bytes(changed(text.replace(": ", "= "), rng).replace(b"= ", b": "))
    assert faults("status", files) == []
