"""The technician's guide says what the program really says: log lines, keys of the config, commands."""

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from appliance.camera import picamera
from appliance.camera.lens import Lens
from appliance.cli import commands
from appliance.config import Config, GazeConfig, LayeredConfig, needs_restart, parse_config, show_config
from appliance.display import cec, flip_check, frame_loader, monitor, open_display, opening_hours, screen
from appliance.service import (
    app,
    camera_creation,
    fallback,
    journal,
    reboot_or_pause,
    reporter,
    settings,
    vision_thread,
)
from appliance.service.calibration import DISTANCES, eye_heights_in_view, report

CHECKOUT = Path(__file__).parent.parent
GUIDE = CHECKOUT / "deploy/guide"
TROUBLE = (GUIDE / "troubleshooting.md").read_text("utf-8")
# What stands in a message for what differs: Python's, str.format's and the shell's.
HOLE = re.compile(r"%(?:\.\d)?[sdf]|\{\w+\}|\$\([^()]*(?:\([^()]*\))?[^()]*\)|\$\w+")

# The modules whose lines reach the journal; film and replay are for the desk.
LOGGING_MODULES = [
    *(cec, monitor, opening_hours, flip_check, frame_loader, open_display, screen, picamera),
    *(fallback, app, reboot_or_pause, reporter, settings, vision_thread),
]


def _logged() -> list[str]:
    """Every line the service may log: the constants given to `log`, and what ends the process."""
    found = [
        reporter.HUNG,
        flip_check.DISPLAY_STUCK,
        journal.LEFT_OUT,
        commands.STARTING_ANEW % "display lost: %s",
    ]
    found += [
        reporter.CAMERA_LOST.replace("%s", cause, 1)
        for cause in (camera_creation.BLACK, camera_creation.FROZEN)
    ]
    for module in LOGGING_MODULES:
        calls = re.findall(r"log\.\w+\(([^,)]*)", Path(str(module.__file__)).read_text("utf-8"))
        names = [name for call in calls for name in re.findall(r"\b[A-Z_]{3,}\b", call)]
        found += [getattr(module, name) for name in names]
    return sorted(set(found))


LOGGED = _logged()


def _boot_lines() -> list[str]:
    """What mona-lisa-boot.service may log, out of the scripts it runs."""
    scripts = "".join((CHECKOUT / "deploy" / name).read_text("utf-8") for name in ("at-boot", "readonly"))
    card = (CHECKOUT / "deploy/card_config.py").read_text("utf-8")
    told = re.findall(r'^ +step "(.*)"$', scripts, re.MULTILINE)
    return told + re.findall(r'^(?:APPLIED|REFUSED|GONE): Final = "(.*)"$', card, re.MULTILINE)


def _quoted(part: str) -> list[str]:
    """Return the log lines a part of the page quotes: the first column of its tables."""
    cells = re.findall(r"^\| (`.*?) \|", part, re.MULTILINE)
    return [line for cell in cells for line in re.findall(r"`([^`]+)`", cell)]


def _says(message: str, line: str) -> bool:
    """Tell whether a quoted line may be this message; what is fixed in it is quoted in full."""
    parts = HOLE.split(message.replace("%%", "%").replace("`", ""))
    return re.fullmatch(".+".join(re.escape(part) for part in parts), line) is not None


SERVICE, BOOT = TROUBLE.split("From `mona-lisa-boot`")
SERVICE = SERVICE.split("## The log, line by line")[1]


@pytest.mark.parametrize("line", _quoted(SERVICE))
def test_every_quoted_line_is_one_the_service_writes(line: str) -> None:
    assert any(_says(message, line) for message in LOGGED)


@pytest.mark.parametrize("message", LOGGED)
def test_every_line_the_service_writes_is_explained(message: str) -> None:
    assert any(_says(message, line) for line in _quoted(SERVICE))


@pytest.mark.parametrize("line", _quoted(BOOT))
def test_every_quoted_line_of_the_start_is_one_the_scripts_write(line: str) -> None:
    assert any(_says(message, line) for message in _boot_lines())


def test_another_line_is_not_taken_for_one_of_ours() -> None:
    for line in ("camera gone", "camera lost (CAUSE)", "display back", "seeing "):
        assert not any(_says(message, line) for message in LOGGED)


def test_every_key_the_pages_name_is_in_the_config() -> None:
    known = set()
    section = ""
    for row in show_config(LayeredConfig(Config(), ())).splitlines():
        if row.startswith("["):
            section = row.strip("[]")
        elif " = " in row:
            known.add(f"{section}.{row.split(' = ')[0]}")
    sections = {key.split(".")[0] for key in known}
    for page in GUIDE.glob("*.md"):
        named = re.findall(r"`(\w+\.\w+)(?: = [^`]*)?`", page.read_text("utf-8"))
        ours = {key for key in named if key.split(".")[0] in sections} - {"config.toml"}
        assert ours <= known, page.name


MAP = CHECKOUT / "appliance/README.md"
DECISIONS = sorted((CHECKOUT / "appliance/decisions").glob("*.md"))
OUTSIDE = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "appliance/cli/COMMANDS.md",
    "appliance/bench/FIGURES.md",
)
PAGES = [*GUIDE.glob("*.md"), *(CHECKOUT / name for name in OUTSIDE)]


@pytest.mark.parametrize("page", [*PAGES, MAP, *DECISIONS], ids=lambda page: page.name)
def test_every_script_and_link_the_pages_name_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    for script in re.findall(r"(?<![\w/])(deploy/[\w./-]*\w)", text):
        assert (CHECKOUT / script).exists(), script
    for link, _, anchor in re.findall(r"\]\((?!http)([^)#]*)(#([^)]*))?\)", text):
        target = page.parent / link if link else page
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads]


@pytest.mark.parametrize("page", [MAP, *DECISIONS], ids=lambda page: page.name)
def test_every_module_the_map_and_decisions_name_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    named = re.findall(r"`([\w/*.-]+(?:\.py|\.service|/))`", text)
    assert named
    for name in named:
        assert any((CHECKOUT / "appliance").glob(name)) or any(CHECKOUT.glob(name)), name


def test_the_map_has_a_row_for_every_package_and_module() -> None:
    text = MAP.read_text("utf-8").split("## Which folder for what")[1].split("## Where to change what")[0]
    told = set(re.findall(r"`([\w.]+/?)`", text))
    package = CHECKOUT / "appliance"
    there = {f"{folder.parent.name}/" for folder in package.glob("*/__init__.py")}
    there |= {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    assert sorted(there - told) == []


def _rows_of_the_map() -> list[str]:
    text = MAP.read_text("utf-8").split("## Where to change what")[1]
    return [row for row in text.splitlines() if row.startswith("| ") and "`" in row]


@pytest.mark.parametrize("row", _rows_of_the_map(), ids=lambda row: row.split("|")[1].strip()[:50])
def test_what_the_map_names_is_found_in_the_modules_of_its_row(row: str) -> None:
    names = re.findall(r"`([\w/*.]+\.\w+)`", row)
    modules = [path for name in names for path in (CHECKOUT / "appliance").glob(name)]
    code = "".join(path.read_text("utf-8") for path in modules)
    for name in re.findall(r"`([A-Za-z_]+)`", row.split("|")[2]):
        assert re.search(rf"\b{name}\b", code), name


def test_the_map_names_every_section_that_waits_for_a_restart() -> None:
    (row,) = [row for row in _rows_of_the_map() if "need a restart" in row]
    old = parse_config("", "")
    assert needs_restart(old, replace(old, display=replace(old.display, pack="elsewhere"))) == []
    named = set(re.findall(r"`\[(\w+)\]`", row))
    for section in fields(old):
        waits = needs_restart(old, replace(old, **{section.name: _changed(getattr(old, section.name))}))
        assert bool(waits) == (section.name in named), section.name


def _changed(section: Any) -> Any:
    """Return a section of the config with every number changed."""
    numbers = {f.name: getattr(section, f.name) for f in fields(section)}
    return replace(
        section, **{name: value + 1 for name, value in numbers.items() if type(value) in (int, float)}
    )


INSTALL = (GUIDE / "install.md").read_text("utf-8")
MOUNTED = re.findall(
    r"^\| (\d+) \| ([\d.]+) m \| (\d+) degrees( up| down|) \| (.*) \|$", INSTALL, re.MULTILINE
)


@pytest.mark.parametrize(("fov", "height", "tilt", "way", "heights"), MOUNTED)
def test_eye_heights_in_the_guide_are_those_of_the_lens(
    fov: str, height: str, tilt: str, way: str, heights: str
) -> None:
    gaze = GazeConfig(camera_pitch=float(tilt) * (-1 if way == " down" else 1))
    view = eye_heights_in_view(Lens(640, 360, float(fov)), gaze, 1000 * float(height))
    seen = [view.eyes_in_view(distance) for distance in DISTANCES]
    assert heights == " | ".join(f"{max(low, 0) / 1000:.2f} to {high / 1000:.2f} m" for low, high in seen)


def test_what_calibrate_reports_is_quoted_as_it_is() -> None:
    assert len(MOUNTED) == 8
    for line in report(Lens(640, 360, 66.0), GazeConfig(camera_up=450, camera_pitch=-10), 1550):
        assert line in INSTALL.replace("\n    ", " ")
