"""The commands `portrait ...` and `fomm ...`: paintings to packs, and which of them hangs."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from appliance import assets, config
from appliance.errors import ConfigError
from appliance.files import sha256_of
from appliance.library import DEFAULT_PORTRAIT, current_folder, find_portrait, installed_packs
from appliance.library import hang_portrait as hang
from appliance.terminal import print_step, printable_line

if TYPE_CHECKING:
    from appliance.pack import Pack
    from appliance.portrait.verdict import Verdict


# Options of `portrait render` that only one way to make frames reads: blending head frames made elsewhere
# (with --frames-from), or drawing them (without).
_BLENDING: Final = ("place", "blend_steepness", "blend_extent", "detail")
_DRAWING: Final = ("yaw", "eyes", "rows")
CREDITS: Final = ("title", "artist", "licence")  # options that say what a picture is; pack.toml keeps them


def render(arguments: argparse.Namespace) -> int:
    """Turn a picture into a pack; raises `ConfigError` for an option that would have no effect."""
    from appliance.portrait.foreign_pack import render_from_frames
    from appliance.portrait.painting_to_pack import render as render_pack

    blending, drawing = _given(arguments, _BLENDING), _given(arguments, _DRAWING)
    unread = drawing if arguments.frames_from else blending
    if unread:
        option, when = next(iter(unread)).replace("_", "-"), "with" if arguments.frames_from else "without"
        raise ConfigError(f"--{option} has no effect {when} --frames-from; expected it left out")
    common: dict[str, Any] = {
        "size": arguments.size,
        "say": print_step,
        "choose": arguments.face,
        **_given(arguments, ("frames",)),
    }
    labels: dict[str, Any] = {**_credits(arguments.image, arguments)}
    if arguments.frames_from:
        from appliance.pack import Pack
        from appliance.portrait.evaluate import judge_blended_pack
        from appliance.portrait.foreign_blend import BlendSettings

        if arguments.face == "all":
            raise ConfigError("--face all: head frames made elsewhere show one sitter; expected a number")
        place = blending.pop("place", None)
        sigmoid = {name.removeprefix("blend_"): value for name, value in blending.items()}
        settings = BlendSettings(**sigmoid, **labels)
        common |= {"place": place, "blending": settings}
        render_from_frames(arguments.image, arguments.frames_from, arguments.out, **common)
        _tell(judge_blended_pack(Pack(arguments.out)))
        return 0
    verdicts: list[Verdict] = []
    render_pack(arguments.image, arguments.out, **common, **drawing, **labels, tell=verdicts.append)
    _tell(verdicts[0])
    return verdicts[0].exit_code


def install(arguments: argparse.Namespace) -> int:
    """Render a portrait and hang it."""
    from appliance.portrait.painting_to_pack import install_portrait

    display = config.load_config(arguments.config).display
    size = display.width, display.height
    given = {word: getattr(arguments, word) for word in CREDITS}
    pack = install_portrait(
        arguments.what, size, print_step, arguments.face, tell=_tell, anyway=arguments.anyway, labels=given
    )
    print(_hangs(pack))
    return 0


def render_bundled() -> None:
    """Render the bundled portrait, as deploy/setup does, unless it is there."""
    from appliance.portrait.painting_to_pack import render as render_pack

    folder = assets.home_folder() / "frames" / DEFAULT_PORTRAIT
    if folder.is_dir():
        return
    known = next(portrait for portrait in assets.load_portraits() if portrait.name == DEFAULT_PORTRAIT)
    print_step(f"rendering {known.title} into {folder}")
    render_pack(
        assets.shipped_file(f"frames/{known.file}"),
        folder,
        say=print_step,
        title=known.title,
        artist=known.artist,
        licence=known.licence,
    )


def list_portraits(arguments: argparse.Namespace) -> int:
    """List the portraits installed, and those known by name."""
    hanging = current_folder()
    packs = installed_packs()
    for pack in packs:
        mark = "*" if pack.folder == hanging else " "
        width, height = pack.info.size
        print(
            printable_line(
                f"{mark} {pack.folder.name}: {pack.info.title}, {pack.info.artist}, {width}x{height}"
            )
        )
    there = {pack.folder.name for pack in packs}
    for portrait in assets.load_portraits():
        if portrait.name not in there:
            print(f"  {portrait.name}: {portrait.title}, {portrait.artist}, not installed")
    return 0


def use(arguments: argparse.Namespace) -> int:
    """Hang an installed portrait."""
    print(_hangs(hang(find_portrait(arguments.name))))
    return 0


def _hangs(pack: "Pack") -> str:
    """Say what hangs, and by which name `portrait use` knows it."""
    return printable_line(f"{pack.info.title} hangs as {pack.folder.name}")


def evaluate(arguments: argparse.Namespace) -> int:
    """Measure a pack."""
    from appliance.portrait.evaluate import evaluate_pack as measure
    from appliance.portrait.verdict import Verdict

    results = measure(arguments.pack)
    verdict = Verdict(results["verdict"], tuple(results["reasons"]), tuple(results["remarks"]))
    if arguments.json:
        print(json.dumps(results, indent=2))
        return verdict.exit_code
    _tell(verdict)
    others = results.pop("others", {})
    figures = {name: value for name, value in results.items() if name not in verdict.as_json()}
    for heading, part in {"": figures, **others}.items():
        if heading:
            print(f"{heading}:")
        print("\n".join(printable_line(f"{name:32} {value}") for name, value in part.items()))
    return verdict.exit_code


def animate(arguments: argparse.Namespace) -> int:
    """Animate a painting by a film."""
    from appliance.fomm import check

    check("torch", "av")
    from appliance.fomm.animate import Choices
    from appliance.fomm.animate import animate as animate_painting
    from appliance.portrait.foreign_blend import BlendSettings

    place, frames, size = arguments.place, arguments.frames, arguments.size
    choices = Choices(frames, size, arguments.face, place, arguments.start, arguments.align_corners)
    labels = _credits(arguments.source, arguments)
    look = BlendSettings(arguments.blend_steepness, arguments.blend_extent, arguments.detail, **labels)
    inputs = arguments.source, arguments.driving, arguments.checkpoint
    animate_painting(*inputs, arguments.out, choices, look, print_step)
    return 0


def check_driving(arguments: argparse.Namespace) -> int:
    """Judge a driving film, and print what was found; returns the exit code, 1 if it will not do."""
    from appliance.fomm import check

    check("av")
    from appliance.fomm.driving_video import judge

    result = judge(arguments.film)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        for name, finding in result["findings"].items():
            print(printable_line(f"{name:10} {'right' if finding['right'] else 'WRONG'}  {finding['says']}"))
        (first, last), verdict = result["sweep_seconds"], "will do" if result["fit"] else "will not do"
        print(printable_line(f"{arguments.film}: {verdict}; its best sweep goes from {first} s to {last} s"))
    return 0 if result["fit"] else 1


def _tell(verdict: "Verdict") -> None:
    """Print a verdict."""
    print("\n".join(map(printable_line, verdict.lines())), flush=True)


def _given(arguments: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the options among `names` that were given."""
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def _credits(image: Path, arguments: argparse.Namespace) -> dict[str, str]:
    """Return title, artist and licence: as given, or as known of the bundled pictures."""
    try:
        sha256 = sha256_of(image)
    except OSError:
        sha256 = ""  # the command itself opens the file and says what is wrong
    known = next((p for p in assets.load_portraits() if p.sha256 == sha256), None)
    return {
        "title": arguments.title or (known.title if known else image.stem),
        "artist": arguments.artist or (known.artist if known else "unknown"),
        "licence": arguments.licence or (known.licence if known else "unknown"),
    }
