"""From a painting to a pack: for each sitter a grid of frames, and the portrait that hangs."""

import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image

from appliance.assets import KnownPainting, download_file, load_portraits, shipped_file
from appliance.errors import BadAsset, BadImage, ConfigError, UnfitPortrait
from appliance.files import sha256_of
from appliance.images import FOLDER_INSTEAD_OF_FILE, URL_INSTEAD_OF_FILE, URL_PREFIXES
from appliance.library import hang_portrait, portrait_folder, portrait_name_for
from appliance.pack import (
    DEFAULT_COLUMNS,
    DEFAULT_ROWS,
    FrameGrid,
    Pack,
    PackInfo,
    check_destination,
    write_pack,
)
from appliance.portrait.contact_sheet import ContactSheet, EyeCloseUp, png_bytes, stack_pictures
from appliance.portrait.draw_frames import draw_patches, eyes_box, patch_box
from appliance.portrait.frame_motions import USUAL_YAW, check_frame_count
from appliance.portrait.landmarks import (
    FaceChoice,
    FaceLandmarker,
    ask_which_face,
    choose_faces,
    face_names,
    name_picture_in_refusals,
)
from appliance.portrait.prepared_sitters import (
    VIEWER_DISTANCE_MM,
    PreparedSitter,
    RequestedMotion,
    make_others_transparent,
    prepare_sitters,
)
from appliance.portrait.source import fit_to_screen, read_picture_for_screen
from appliance.portrait.verdict import FrameExaminer, Verdict, combine_verdicts
from appliance.terminal import escape_unprintable, show_progress

# The engine that pack.toml names; its number rises when the same painting would give other frames.
DRAWING_ENGINE: Final = "turning head 4"
_ENLARGED: Final = 1.5  # a painting enlarged by more than this factor gets a warning (by eye)


def render(
    image: Path,
    out: Path,
    frames: int = DEFAULT_COLUMNS,
    size: tuple[int, int] | None = None,
    say: Callable[[str], None] = lambda line: None,
    *,
    title: str | None = None,
    artist: str = "unknown",
    licence: str = "unknown",
    yaw: float = USUAL_YAW,
    eyes: float = 1.0,
    distance_mm: float = VIEWER_DISTANCE_MM,
    choose: FaceChoice = None,
    rows: int = DEFAULT_ROWS,
    tell: Callable[[Verdict], None] = lambda verdict: None,
) -> PackInfo:
    """Render a painting to a pack, and beside it a contact sheet and a close-up of the eyes.

    All faces of the sitters' size follow together, the largest first; if one of them cannot, `SeveralFaces`
    asks which one shall. `PixelOwners` decides to which of them a pixel belongs where heads meet.

    Parameters
    ----------
    image : the painting, any image file
    out : folder of the pack; `<out>-sheet.png` and `<out>-eyes.png` are written beside it
    frames : columns of the level row, odd; one is the painting bit for bit, the middle one where the range
        to both sides is even
    size : (width, height) of the screen in pixels; the picture's own by default, without resampling
        unless its long side is over 3840 pixels: then it is reduced to that
    say : receives one line per step
    yaw : how far the head turns to either side in degrees, 0 for the eyes alone
    eyes : the part of the usual travel that the irises take, 0 for the head alone
    distance_mm : of the viewer the eyes converge on
    choose : which of several faces, counted from 1 at picture left; "all" for all faces that can follow,
        while the others rest
    rows : of gaze up and down, 1 or at least 3; one of them is level
    title : the file's name without suffix by default
    tell : receives the verdict when all frames are drawn; if it raises, nothing is written

    Returns
    -------
    What pack.toml says.

    Raises
    ------
    ConfigError
        If `frames` is not odd and at least 3, `rows` is neither 1 nor at least 3, or nothing would move.
    BadImage
        If the file is not a whole image.
    UnfitPortrait
        If there is no face, or one that cannot be brought to life and was not left out by `choose`.
    CannotWrite
        If the pack or the sheet cannot be written.
    """
    check_frame_count(frames)
    if rows < 1 or rows == 2:
        raise ConfigError(f"rows = {rows}; expected 1, or at least 3: up, level and down")
    if yaw <= 0 and eyes <= 0:
        raise ConfigError(f"yaw = {yaw}, eyes = {eyes}; expected one above 0: nothing would move")
    out = out.absolute()
    check_destination(out)
    original, reduced = read_picture_for_screen(image, size)
    say(f"{image.name}: {original.shape[1]}x{original.shape[0]} pixels, looking for the sitter")
    landmarker = FaceLandmarker()
    with name_picture_in_refusals(image, out):
        faces = landmarker.numbered_faces(original)
        found = choose_faces(faces, choose)
        fitting = size or (original.shape[1], original.shape[0])
        pixels, placed = fit_to_screen(original, list(found.values()), fitting)
        scale = reduced * placed[0].width / next(iter(found.values())).width
        motion = RequestedMotion(frames, yaw, eyes, distance_mm, rows)
        company = prepare_sitters(landmarker, pixels, dict(zip(found, placed, strict=True)), motion, scale)
        if company.unfit and choose != "all":
            raise ask_which_face(Image.fromarray(original), found, company.unfit)
    names = face_names(faces, original.shape[1], original.shape[0])
    del original
    if scale > _ENLARGED:
        say(f"warning: {image.name}: enlarged {scale:.1f} times; a larger picture would be sharper")
    rests = {names[number]: f"rests: {reason}" for number, reason in company.unfit.items()}
    grids = tuple(sitter.grid(patch_box(sitter)) for sitter in company.sitters)
    settings: dict[str, float | int | str | bool] = {"eyes": eyes, "distance_mm": distance_mm}
    settings["scale"] = round(scale, 4)
    for k, sitter in enumerate(company.sitters):
        settings |= _settings_of(sitter, k)
    if rests:
        settings["resting"] = "; ".join(f"{name} {reason}" for name, reason in rests.items())
    info = PackInfo(
        title=title or escape_unprintable(image.stem),
        artist=artist,
        licence=licence,
        source=image.name,
        source_sha256=sha256_of(image),
        size=(pixels.shape[1], pixels.shape[0]),
        engine=DRAWING_ENGINE,
        settings=settings,
        sitters=grids,
    )
    if len(faces) > 1 and not isinstance(choose, int):
        say(_who_follows([names[sitter.number] for sitter in company.sitters], len(faces) - len(found)))
    for name, reason in rests.items():
        say(f"{name} {reason}")
    for sitter, grid in zip(company.sitters, grids, strict=True):
        whose = f" of {names[sitter.number]}" if len(grids) > 1 else ""
        say(f"rendering {grid.count} frames{whose}, {_range(grid)}")
    whole = Image.fromarray(pixels)
    sitters, owners = list(company.sitters), company.owners
    del company
    sheets: list[Image.Image] = []
    close_ups: list[Image.Image] = []
    verdicts: dict[str, Verdict] = {}
    part = 1 / math.sqrt(len(grids))  # sheets of many sitters then take no more memory than those of one

    def patches() -> Iterator[Image.Image]:
        for k, grid in enumerate(grids):
            sitter = sitters.pop(0)  # released once it is drawn, because each takes 30 MB
            name = names[sitter.number]
            sheet = ContactSheet(whole, grid, name if len(grids) > 1 else "", part)
            eyes_only = EyeCloseUp(whole, grid, eyes_box(sitter), part)
            examined = FrameExaminer(sitter, grid)
            shown = eyes_only.pass_through(sheet.pass_through(draw_patches(sitter, grid.box)))
            drawn = examined.pass_through(shown)
            if owners and info.overlaps(k):
                drawn = make_others_transparent(drawn, owners.others_in_box(sitter.number, grid.box))
            yield from drawn
            verdicts[name] = examined.verdict()
            sheets.append(sheet.image)
            close_ups.append(eyes_only.image)

    def beside() -> dict[str, bytes]:
        tell(combine_verdicts(verdicts, rests))
        return {
            f"{out.name}-sheet.png": png_bytes(stack_pictures(sheets)),
            f"{out.name}-eyes.png": png_bytes(stack_pictures(close_ups)),
        }

    count = sum(grid.count for grid in grids)
    write_pack(out, info, whole, show_progress(patches(), count, "rendering"), beside)
    return info


def _settings_of(sitter: PreparedSitter, k: int) -> dict[str, float | int | str | bool]:
    """Return what pack.toml keeps of a sitter's making; keys of all but the first sitter end in its index."""
    values: dict[str, float | int | str | bool] = {
        "face": sitter.number,
        "yaw": round(max(map(abs, sitter.plan.turns)), 3),
        "own_gaze": round(sitter.plan.painted_gaze, 1),
        "iris_radius_px": round(sitter.eyes[0].radius_px, 3),
        "doubts": "; ".join(sitter.doubts),
    }
    return {f"{key}_{k}" if k else key: value for key, value in values.items()}


def _who_follows(names: list[str], smaller: int) -> str:
    """Say which of several faces follow, and how many smaller ones rest."""
    several = f"{len(names)} sitters, the largest first"
    line = f"{several if len(names) > 1 else 'the sitter'}: {', '.join(names)}"
    if smaller:
        rest = "1 smaller face rests (--face all takes it, too)"
        line += f"; {rest if smaller == 1 else f'{smaller} smaller faces rest (--face all takes them, too)'}"
    return line


def _range(grid: FrameGrid) -> str:
    """Return in words where the gaze goes."""
    text = f"gaze from {grid.angles[0]:.1f} to {grid.angles[-1]:.1f} degrees"
    if len(grid.pitches) > 1:
        text += f", {grid.pitches[0]:.1f} up and {-grid.pitches[-1]:.1f} down"
    return text


# The refusal of a portrait whose verdict is to use another picture.
NOT_HUNG: Final = "not hung, the present portrait stays; --anyway hangs it all the same"


def install_portrait(
    what: str,
    size: tuple[int, int],
    say: Callable[[str], None],
    choose: FaceChoice = None,
    *,
    tell: Callable[[Verdict], None] = lambda verdict: None,
    anyway: bool = False,
    labels: Mapping[str, str | None] | None = None,
) -> Pack:
    """Render a portrait into the library and hang it; on any failure the present one stays.

    Parameters
    ----------
    what : a name from frames/portraits.toml, or the path of an image file
    size : (width, height) of the screen in pixels
    say : receives one line per step
    choose : which of several faces, as `render`
    tell : receives the verdict when all frames are drawn
    anyway : hang it even if the verdict is to use another picture
    labels : title, artist and licence for pack.toml; None for what is known of the picture

    Raises
    ------
    BadImage
        If `what` is neither a known name nor a file, or the file is not a whole image.
    AssetUnavailable, BadAsset
        If a known picture cannot be downloaded, or is not the one expected.
    UnfitPortrait
        If the picture cannot be brought to life, or the verdict is to use another.
    CannotWrite
        If the library cannot be written.
    """

    def judged(verdict: Verdict) -> None:
        tell(verdict)
        if verdict.kind == "another" and not anyway:
            raise UnfitPortrait(f"{what}: {NOT_HUNG}")

    known = {portrait.name: portrait for portrait in load_portraits()}
    name, picture = what, Path(what)
    described: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="mona-lisa-") as folder:
        if portrait := known.get(what):
            check_destination(portrait_folder(what))  # before anything is downloaded
            picture = Path(folder) / portrait.file
            picture.write_bytes(_bytes(portrait, say))
            described = {"title": portrait.title, "artist": portrait.artist, "licence": portrait.licence}
        elif os.path.isfile(picture):  # noqa: PTH113  (pathlib's raises in a folder it cannot read)
            name = portrait_name_for(picture)
        elif what.startswith(URL_PREFIXES):
            raise BadImage(f"{what}: {URL_INSTEAD_OF_FILE}")
        elif os.path.isdir(picture):  # noqa: PTH112
            raise BadImage(f"{what}: {FOLDER_INSTEAD_OF_FILE}")
        else:
            raise BadImage(f"{what}: neither a file nor one of {', '.join(known)}")
        described |= {word: text for word, text in (labels or {}).items() if text}
        render(picture, portrait_folder(name), size=size, say=say, choose=choose, tell=judged, **described)
    return hang_portrait(name)


def _bytes(portrait: KnownPainting, say: Callable[[str], None]) -> bytes:
    if portrait.url:
        say(f"{portrait.title}: {portrait.size / 1e6:.1f} MB from {portrait.url}")
        return download_file(portrait.url, portrait.size, portrait.sha256)
    path = shipped_file(f"frames/{portrait.file}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadAsset(f"{path}: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != portrait.sha256:
        raise BadAsset(f"{path}: changed; expected SHA-256 {portrait.sha256}")
    return data
