import dataclasses
import os
import re
import time
from dataclasses import fields, replace
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

import appliance
from appliance import config
from appliance.cli import main
from appliance.config import (
    CALIBRATION_FILE,
    CARD_FILE,
    CONFIG_FILE,
    DAYS,
    LAYERS,
    Config,
    LayeredConfig,
    keep_until_restart,
    load_config,
    load_layers,
    merge,
    needs_restart,
    parse_config,
    parse_layer,
    show_config,
)
from appliance.errors import ConfigError
from appliance.schema import ListOf, OneOf, Pattern, Range, TimeZone, YesNo, ZeroOr
from appliance.service.settings import Settings

COMMENTED = Path(appliance.__file__).with_name("config.toml")
SECTIONS = get_type_hints(Config)
KEYS = [
    (section, field.name, get_type_hints(kind)[field.name], field.metadata["rule"])
    for section, kind in SECTIONS.items()
    for field in dataclasses.fields(kind)
]


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "config.toml")
    return str(caught.value)


def uncommented(text: str) -> str:
    """Set every key of a printed config, as people do by taking the "#" away."""
    return re.sub(r"^#(?=\w+ = )", "", text, flags=re.MULTILINE)


def test_config_toml_is_what_config_print_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "print"]) == 0
    printed = capsys.readouterr().out
    assert COMMENTED.read_text("utf-8") == printed, "mona-lisa config print > appliance/config.toml"


def test_config_toml_sets_nothing_and_shows_every_default() -> None:
    text = COMMENTED.read_text("utf-8")
    assert parse_layer(text, "config.toml").values == {}
    layer = parse_layer(uncommented(text), "config.toml")
    assert list(layer.values) == [(section, key) for section, key, _, _ in KEYS]
    assert merge([layer]).config == Config()


def test_config_toml_has_a_comment_above_every_key_or_group() -> None:
    groups = re.split(r"\n\n(?:\[\w+\]\n)?", COMMENTED.read_text("utf-8").split("[camera]\n")[1])
    lonely = [group for group in groups if "=" in group and not group.startswith("# ")]
    assert lonely == []
    assert max(map(len, COMMENTED.read_text("utf-8").splitlines())) <= 110


def test_config_toml_says_range_and_unit_of_every_number() -> None:
    text = COMMENTED.read_text("utf-8")
    for _, key, _, rule in KEYS:
        if isinstance(rule, Range | ZeroOr):
            assert re.search(rf"^#{key} = .*  # {re.escape(str(rule))}$", text, re.MULTILINE), key


def test_config_toml_says_which_keys_need_a_restart() -> None:
    told = "# Changes here count after `sudo systemctl restart mona-lisa`"
    parts = re.split(r"^\[(\w+)\]\n", COMMENTED.read_text("utf-8"), flags=re.MULTILINE)
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        keys = dataclasses.fields(SECTIONS[name])
        needing = {key.name for key in keys if key.metadata["restart"]}
        if not needing:
            assert told not in text
            continue
        live = [key.name for key in keys if key.name not in needing]
        assert text.startswith(told + (f"; {', '.join(live)} after a reload.\n" if live else ".\n"))


def test_an_empty_file_is_the_default() -> None:
    assert parse_config("", "config.toml") == Config()
    assert parse_config("# nothing yet\n[camera]\n", "config.toml") == Config()


def test_a_key_that_is_set_changes_that_key_alone() -> None:
    changed = parse_config("[camera]\nrate = 15\n", "config.toml")
    assert changed.camera.rate == 15.0
    assert type(changed.camera.rate) is float
    assert dataclasses.replace(changed, camera=config.CameraConfig()) == Config()


def test_an_old_config_with_66_degrees_is_still_valid() -> None:
    assert parse_config("[camera]\nfield_of_view = 66.0\n", "config.toml").camera.field_of_view == 66.0
    assert parse_config("[camera]\nfield_of_view = 0\n", "config.toml").camera.field_of_view == 0.0


def test_nothing_can_be_changed_afterwards() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().camera.rate = 1.0  # type: ignore[misc]  # it is frozen: that is the test


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[camera]\n\nrate = 500",
            "config.toml:3: camera.rate = 500; expected a number, 1 to 120 pictures/s",
        ),
        (
            "[camera]\nwidth = 63",
            "config.toml:2: camera.width = 63; expected a whole number, 64 to 4608 pixels",
        ),
        (
            "[camera]\nwidth = 640.0",
            "config.toml:2: camera.width = 640.0; expected a whole number, 64 to 4608 pixels",
        ),
        (
            "[camera]\nwidth = true",
            "config.toml:2: camera.width = true; expected a whole number, 64 to 4608 pixels",
        ),
        ("[gaze]\ngain = false", "config.toml:2: gaze.gain = false; expected a number, 0.1 to 5"),
        ("[gaze]\ngain = nan", "config.toml:2: gaze.gain = nan; expected a number, 0.1 to 5"),
        ("[gaze]\ngain = inf", "config.toml:2: gaze.gain = inf; expected a number, 0.1 to 5"),
        ("[gaze]\ngain = -inf", "config.toml:2: gaze.gain = -inf; expected a number, 0.1 to 5"),
        ('[gaze]\ngain = "1"', 'config.toml:2: gaze.gain = "1"; expected a number, 0.1 to 5'),
        ("[gaze]\ngain = [1]", "config.toml:2: gaze.gain = [1]; expected a number, 0.1 to 5"),
        (
            "[gaze]\ngain = 1979-05-27",
            'config.toml:2: gaze.gain = "1979-05-27"; expected a number, 0.1 to 5',
        ),
        (
            '[vision]\nmodel = "ful"',
            'config.toml:2: vision.model = "ful"; expected one of "short", "full"',
        ),
        ("[vision]\nmodel = 1", 'config.toml:2: vision.model = 1; expected one of "short", "full"'),
        (
            '[camera]\nsource = "a\\u0007b"',
            'config.toml:2: camera.source = "a\\u0007b"; '
            "expected picamera, gallery, gallery:WALK or replay:FOLDER",
        ),
        (
            "# c\n[vision]\n  treshold = 0.5",
            "config.toml:3: vision.treshold = 0.5; unknown key, expected one of model, threshold, runtime",
        ),
        (
            "[camra]\nrate = 1",
            "config.toml:1: unknown section [camra]; expected one of camera, vision, tracking, gaze, display, hours",
        ),
        (
            "\nrate = 30",
            "config.toml:2: unknown section [rate]; expected one of camera, vision, tracking, gaze, display, hours",
        ),
        ("camera = 3", "config.toml:1: camera = 3; expected a section [camera]"),
        ("[[camera]]\nrate = 3", 'config.toml:1: camera = [{"rate": 3}]; expected a section [camera]'),
        (
            "\n\ncamera.rate = 0",
            "config.toml:3: camera.rate = 0; expected a number, 1 to 120 pictures/s",
        ),
        (
            "[camera]\nfield_of_view = 9.9",
            "config.toml:2: camera.field_of_view = 9.9; expected a number, 0 (the camera's own lens) or "
            "10 to 170 degrees",
        ),
        (
            "[camera]\nrotation = 90",
            "config.toml:2: camera.rotation = 90; expected one of 0, 180",
        ),
        (
            "camera = { rate = 0 }",
            "config.toml:1: camera.rate = 0; expected a number, 1 to 120 pictures/s",
        ),
        (
            '["camera"]\n"rate" = 0',
            "config.toml:2: camera.rate = 0; expected a number, 1 to 120 pictures/s",
        ),
        (
            "[vision]\nthreshold = 0.5\n[camera]\nheight = 480\nrate = 0",
            "config.toml:5: camera.rate = 0; expected a number, 1 to 120 pictures/s",
        ),
        (
            "[camera.rate]\nx = 1",
            'config.toml:1: camera.rate = {"x": 1}; expected a number, 1 to 120 pictures/s',
        ),
    ],
)
def test_a_mistake_is_named_with_file_line_key_and_value(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize(
    "text", ["[camera", "rate = ", "[camera]\nrate = 1\nrate = 2", "[camera]\n[camera]", "a = 1 b"]
)
def test_what_is_not_toml_is_named_with_its_place(text: str) -> None:
    assert re.match(
        r"config\.toml: not TOML: .+ \(at (line \d+, column \d+|end of document)\)$", refusal(text)
    )


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000, "1" + "0" * 400, "0x1" + "0" * 5000])
def test_absurd_values_are_refused_like_others(value: str) -> None:
    message = refusal(f"[gaze]\ngain = {value}")
    assert message.startswith(
        ("config.toml: not TOML: ", "config.toml:2: gaze.gain = 1", "config.toml:2: gaze.gain = a number too")
    )


def test_a_closed_day_is_one_of_the_calendars() -> None:
    for month, day in product(range(14), range(33)):
        text = f"{month:02}-{day:02}"
        try:
            date.fromisoformat(f"2028-{text}")  # a leap year
        except ValueError:
            assert not DAYS.accepts(text) and not DAYS.accepts(f"2027-{text}")
        else:
            assert DAYS.accepts(text) and DAYS.accepts(f"2028-{text}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "config.toml"
    binary.write_bytes(b"[camera]\n\xff")
    for path, reason in (
        (tmp_path / "none.toml", "cannot be read (No such file or directory)"),
        (tmp_path, "cannot be read (no regular file)"),
        (binary, "not UTF-8 text (byte 9)"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert str(caught.value) == f"{path}: {reason}"


def test_spaces_after_a_bracket_do_not_stop_the_service() -> None:
    text = "[camera]\nsource = '''\ngallery:[" + " " * 4000 + "\n'''\n"
    text += "[hours]\nclosed_days = [\n[" + " " * 4000 + "\n'12-25']]\n"
    began = time.process_time()
    assert refusal(text.replace("gallery:[", "[")).startswith("config.toml:2: camera.source = ")
    assert refusal("[hours]\n" + text.split("[hours]\n")[1]).startswith("config.toml:2: hours.closed_days = ")
    assert time.process_time() - began < 1  # half a minute a key before


@pytest.mark.parametrize("odd", ["\u0085", "\u2028", "\u2029"])
def test_a_line_is_counted_as_editors_count_it(odd: str) -> None:
    text = f"# Ge{odd}rman\r\n[camera]\nsource = '{odd}'\nrate = 500"
    assert refusal(text).startswith("config.toml:3: camera.source")
    assert refusal(text.replace(f"'{odd}'", "'picamera'")).startswith("config.toml:4: camera.rate = 500")


def test_a_config_that_never_ends_or_never_begins_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 70_000)
    for path, reason in (
        (tmp_path / "pipe", "no regular file"),
        (tmp_path / "zero", "no regular file"),
        (large, "70,000 bytes, expected at most 65,536"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert str(caught.value) == f"{path}: cannot be read ({reason})"


@pytest.mark.parametrize("value", [f"{{{'a.' * 5000}a = 1}}", "[" * 400 + "]" * 400])
def test_a_value_nested_deeply_is_refused_in_one_line(value: str) -> None:
    assert "\n" not in refusal(f"[gaze]\ngain = {value}")


def test_without_a_file_the_systems_or_the_defaults_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "config.toml"
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    assert load_config() == Config()
    system.write_text("[gaze]\ngain = 2\n")
    assert load_config().gaze.gain == 2.0


def test_an_unreadable_system_config_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "config.toml"
    link.symlink_to(tmp_path / "not-mounted" / "config.toml")
    for system, reason in (
        (link, "No such file or directory"),
        (tmp_path / ("x" * 300) / "config.toml", "File name too long"),  # any error but that there is none
    ):
        monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(system.parent))
        with pytest.raises(ConfigError, match=rf"cannot be read \({reason}\)"):
            load_config()


def test_a_byte_order_mark_from_windows_is_skipped(tmp_path: Path) -> None:
    marked = tmp_path / "config.toml"
    marked.write_bytes("[gaze]\r\ngain = 2\r\n".encode("utf-8-sig"))
    assert load_config(marked).gaze.gain == 2.0


def value_of(wanted: type, rule: Any) -> st.SearchStrategy[Any]:
    if isinstance(rule, Pattern):
        return st.from_regex(rule.form, fullmatch=True).filter(str.isprintable)
    if isinstance(rule, OneOf):
        return st.sampled_from(rule.words)
    if isinstance(rule, YesNo):
        return st.booleans()
    if isinstance(rule, TimeZone):
        return st.sampled_from(["", "Europe/Berlin", "Pacific/Apia"])
    if isinstance(rule, ListOf):
        return st.lists(value_of(str, rule.rule), max_size=4).map(tuple)
    if isinstance(rule, ZeroOr):
        return st.just(0.0) | value_of(wanted, rule.range)
    if isinstance(rule, Range):
        return st.integers(int(rule.low), int(rule.high)) if wanted is int else st.floats(rule.low, rule.high)
    return st.text().filter(str.isprintable)


configs = st.builds(
    Config,
    **{
        section: st.builds(
            kind,
            **{name: value_of(wanted, rule) for of, name, wanted, rule in KEYS if of == section},
        )
        for section, kind in SECTIONS.items()
    },
)


@given(configs)
def test_a_config_written_and_read_is_the_same(changed: Config) -> None:
    assert parse_config(show_config(LayeredConfig(changed, ())), "config.toml") == changed


@given(st.sampled_from([key for key in KEYS if isinstance(key[3], Range)]), st.integers() | st.floats())
def test_a_number_is_accepted_in_its_range_and_nowhere_else(
    key: tuple[str, str, type, Range], value: float
) -> None:
    section, name, wanted, rule = key
    right = rule.low <= value <= rule.high and (wanted is float or type(value) is int)
    text = f"[{section}]\n{name} = {value!r}\n"
    if right:
        assert getattr(getattr(parse_config(text, "c"), section), name) == value
    else:
        assert refusal(text).startswith(f"config.toml:2: {section}.{name} = ")


@given(st.text(max_size=60))
def test_any_text_is_a_config_or_refused_in_one_line(text: str) -> None:
    try:
        parse_config(text, "config.toml")
    except ConfigError as error:
        assert str(error).startswith("config.toml:")  # noqa: PT017
        assert len(str(error).splitlines()) == 1  # noqa: PT017


def test_every_default_is_accepted_by_its_own_rule() -> None:
    for section, name, wanted, rule in KEYS:
        value = getattr(getattr(Config(), section), name)
        assert type(value) is (get_origin(wanted) or wanted)
        assert rule.accepts(value)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[gaze]\ngain = 1\n\n[vision]\n[camera]\nrate = 0", "config.toml:6: camera.rate = 0;"),
        ("[camera]\nrate = 20\n[tracking]\nrate = 30\n", "config.toml:4: tracking.rate = 30;"),
        ("gaze.gain = 1\nvision.threshold = 0.5\ncamera = {rate = 0}", "config.toml:3: camera.rate = 0;"),
        ("[gaze]\ngain = 1\n[gaza]\ngain = 1", "config.toml:3: unknown section [gaza];"),
    ],
    ids=["a section", "a key of the section before", "a table in a line", "an unknown section"],
)
def test_a_fault_in_a_later_section_is_named_by_its_line(text: str, where: str) -> None:
    assert refusal(text).startswith(where)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the system's settings, with a value of its own in each layer."""
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    (tmp_path / CONFIG_FILE).write_text("# mine\n[gaze]\ngain = 2\ncamera_up = 1\ncontact = 0.5\n")
    (tmp_path / CARD_FILE).write_text("[gaze]\ncamera_up = 2\ncontact = 0.25\n")
    (tmp_path / CALIBRATION_FILE).write_text("[gaze]\n\ncamera_up = 3\n")
    return tmp_path


def test_a_higher_layer_goes_over_a_lower_one(system: Path) -> None:
    gaze = load_config().gaze
    assert (gaze.gain, gaze.contact, gaze.camera_up) == (2.0, 0.25, 3.0)
    assert gaze == dataclasses.replace(config.GazeConfig(), gain=2.0, contact=0.25, camera_up=3.0)
    (system / CALIBRATION_FILE).unlink()
    assert load_config().gaze.camera_up == 2.0
    (system / CARD_FILE).unlink()
    assert load_config().gaze.camera_up == 1.0


def test_every_value_knows_file_and_line_or_that_it_is_a_default(system: Path) -> None:
    layered = load_layers()
    assert layered.origin(("gaze", "gain")) == f"{system / CONFIG_FILE}:3"
    assert layered.origin(("gaze", "contact")) == f"{system / CARD_FILE}:3"
    assert layered.origin(("gaze", "camera_up")) == f"{system / CALIBRATION_FILE}:3"
    assert layered.origin(("gaze", "mirrored")) == "default"


def test_every_value_that_does_not_count_is_named(system: Path) -> None:
    own, card, measured = (system / name for name in LAYERS)
    assert load_layers().overridden() == [
        f"{own}:4: gaze.camera_up = 1.0; overridden: {measured}:3 sets 3.0",
        f"{own}:5: gaze.contact = 0.5; overridden: {card}:3 sets 0.25",
        f"{card}:2: gaze.camera_up = 2.0; overridden: {measured}:3 sets 3.0",
    ]
    assert load_layers(own).overridden() == []


def test_config_show_prints_value_and_origin_of_every_key(
    system: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert f"gain = 2.0  # {system / CONFIG_FILE}:3\n" in shown
    assert f"camera_up = 3.0  # {system / CALIBRATION_FILE}:3\n" in shown
    assert "mirrored = false  # default\n" in shown
    assert len(re.findall(r"^\w+ = .*  # .+$", shown, re.MULTILINE)) == len(KEYS)
    assert parse_config(shown, "shown") == load_config()


@pytest.fixture
def running(system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """What a running service goes by: the system's settings as they were at its start."""
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return Settings(supervised=True).start()


def test_config_check_and_status_name_what_needs_a_restart(
    system: Path, running: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    (system / CONFIG_FILE).write_text("[gaze]\ngain = 1.5\n[display]\nrotation = 90\nbrightness = 0.5\n")
    file, after = system / CONFIG_FILE, "it counts after: sudo systemctl"
    expected = [
        f"{file}:2: gaze.gain = 1.5; in force is 2.0; {after} reload mona-lisa",
        f"{file}:4: display.rotation = 90; in force is 0; {after} restart mona-lisa",
        f"{file}:5: display.brightness = 0.5; in force is 1.0; {after} restart mona-lisa",
    ]
    for command in (["config", "check"], ["status"]):
        main(command)
        out = capsys.readouterr().out.splitlines()
        assert [line for line in out if "in force" in line] == expected
    (system / CONFIG_FILE).write_text("[display]\nrotation = 91\n")
    main(["status"])
    told = capsys.readouterr().out.splitlines()[-1]
    assert told.startswith(f"config wrong, it will not count: {file}:2: display.rotation = 91; expected")


def test_the_check_within_a_reload_says_only_what_is_wrong(
    system: Path, running: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    (system / CONFIG_FILE).write_text("[display]\nrotation = 90\n")
    assert main(["config", "check", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    (system / CONFIG_FILE).write_text("[display]\nrotation = 91\n")
    assert main(["config", "check", "--quiet"]) == 2
    assert f"{system / CONFIG_FILE}:2: display.rotation = 91; expected" in capsys.readouterr().err


def test_config_check_names_every_file_and_value_overridden(
    system: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "check"]) == 0
    right = [f"{system / name}: right" for name in LAYERS]
    assert capsys.readouterr().out.splitlines() == [*right, *load_layers().overridden()]
    (system / CARD_FILE).write_text("[gaze]\ncontact = 7\n")
    assert main(["config", "check"]) == 2
    assert f"{system / CARD_FILE}:2: gaze.contact = 7; expected" in capsys.readouterr().err


def test_a_file_named_by_hand_is_read_alone_over_the_defaults(system: Path) -> None:
    alone = load_config(system / CARD_FILE)
    expected = dataclasses.replace(config.GazeConfig(), contact=0.25, camera_up=2.0)
    assert alone == dataclasses.replace(Config(), gaze=expected)


@given(configs, configs)
def test_what_a_layer_does_not_set_comes_from_below(low: Config, high: Config) -> None:
    layers = [
        parse_layer(show_config(LayeredConfig(low, ())), "low"),
        parse_layer("[gaze]\n" + show_config(LayeredConfig(high, ())).split("[gaze]\n")[1], "high"),
    ]
    merged = merge(layers).config
    assert (merged.gaze, merged.display, merged.hours) == (high.gaze, high.display, high.hours)
    assert (merged.camera, merged.vision, merged.tracking) == (low.camera, low.vision, low.tracking)


def test_a_long_value_is_quoted_short() -> None:
    days = ", ".join(['"12-25"'] * 1000)
    layers = [parse_layer(f"[hours]\nclosed_days = [{days}]\n", f"{name}.toml") for name in "ab"]
    (line,) = merge(layers).overridden()
    assert line.startswith('a.toml:2: hours.closed_days = ["12-25", ') and len(line) < 250


def _with_other_numbers(section: Any) -> Any:
    numbers = {key.name: getattr(section, key.name) for key in fields(section)}
    return replace(section, **{name: n + 1 for name, n in numbers.items() if type(n) in (int, float)})


def test_a_reload_takes_every_key_but_those_that_need_a_restart() -> None:
    old = Config()
    new = Config(**{part.name: _with_other_numbers(getattr(old, part.name)) for part in fields(old)})
    in_force = keep_until_restart(old, replace(new, display=replace(new.display, pack="elsewhere")))
    assert (in_force.hours, in_force.display) == (old.hours, replace(old.display, pack="elsewhere"))
    assert (in_force.camera, in_force.gaze, in_force.tracking) == (new.camera, new.gaze, new.tracking)
    assert {section for section, _ in needs_restart(old, new)} == {"display", "hours"}
    assert ("display", "rotation") in needs_restart(old, new)
    assert needs_restart(old, replace(old, display=replace(old.display, pack="elsewhere"))) == []
