"""From a picture, or the name of a known one, to the portrait that hangs."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.assets import Portrait, load_portraits, shipped
from appliance.download import download
from appliance.errors import BadAsset, BadImage, UnfitPortrait
from appliance.images import ADDRESS, NOT_DOWNLOADED
from appliance.library import folder_of, name_for, use
from appliance.pack import Pack
from appliance.portrait.landmarks import Choice
from appliance.portrait.render import render
from appliance.portrait.verdict import Verdict

NOT_HUNG: Final = "not hung, the present portrait stays; --anyway hangs it all the same"


def install(
    what: str,
    size: tuple[int, int],
    say: Callable[[str], None],
    choose: Choice = None,
    *,
    tell: Callable[[Verdict], None] = lambda verdict: None,
    anyway: bool = False,
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
    if what not in known:
        picture = Path(what)
        if not os.path.isfile(picture):  # noqa: PTH113  (pathlib's raises in a folder it cannot read)
            if what.startswith(ADDRESS):
                raise BadImage(f"{what}: {NOT_DOWNLOADED}")
            raise BadImage(f"{what}: neither a file nor one of {', '.join(known)}")
        name = name_for(picture)
        render(picture, folder_of(name), size=size, say=say, choose=choose, tell=judged)
        return use(name)
    portrait = known[what]
    with tempfile.TemporaryDirectory(prefix="mona-lisa-") as folder:
        picture = Path(folder) / portrait.file
        picture.write_bytes(_bytes(portrait, say))
        render(
            picture,
            folder_of(what),
            size=size,
            say=say,
            choose=choose,
            tell=judged,
            title=portrait.title,
            artist=portrait.artist,
            licence=portrait.licence,
        )
    return use(what)


def _bytes(portrait: Portrait, say: Callable[[str], None]) -> bytes:
    if portrait.url:
        say(f"{portrait.title}: {portrait.size / 1e6:.1f} MB from {portrait.url}")
        return download(portrait.url, portrait.size, portrait.sha256)
    path = shipped(f"frames/{portrait.file}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadAsset(f"{path}: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != portrait.sha256:
        raise BadAsset(f"{path}: changed; expected SHA-256 {portrait.sha256}")
    return data
