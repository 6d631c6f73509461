"""Lights mutated portraits one after another in a process of its own, whose memory can be told.

`python -m tests.mutations.portraits packs|compiled SEED FIRST COUNT FOLDER`. Prints JSON; ends with an error
at the first mutation that is not met as it should be: by a whole portrait, in time, with lines in the log.
"""

import faulthandler
import json
import logging
import os
import random
import shutil
import sys
import threading
import time
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pygame
from PIL import Image, ImageChops

from appliance.config import DisplayConfig
from appliance.display import compiled_pack
from appliance.display.fitted_patches import fit_base
from appliance.display.layout import layout_for
from appliance.display.screen import PortraitScreen
from appliance.errors import BadPack
from appliance.pack import Pack, write_pack
from appliance.service.fallback import light_best, load_or_rest, reload_after_damage
from tests.conftest import BOX, FRAMES, SIZE, base_image, grid_info, grid_patches, small_info, small_patches
from tests.mutations import compiled, packs

SLOWEST = 20.0  # seconds; the watchdog ends the service after 30
NEVER = threading.Event()


class Lines(logging.Handler):
    """Looks at every line of the log."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        assert len(message.splitlines()) == 1 and len(message) < 2000, message[:5000]
        assert record.exc_info is None


class Gallery:
    """A screen, a whole portrait to be mutated, and another to fall back on."""

    def __init__(self, folder: Path, screen: PortraitScreen, config: DisplayConfig) -> None:
        self.screen = screen
        self.agreed, self.peak = 0, 0.0
        self.layout = layout_for(config, SIZE)
        self.wholes, self.place = (folder / "row", folder / "grid"), folder / "pack"
        self.other = Path(os.environ["STATE_DIRECTORY"]) / "other"
        write_pack(self.wholes[0], small_info(), base_image(), small_patches())
        write_pack(self.wholes[1], grid_info(), base_image(), grid_patches())
        dark = base_image().point(lambda level: level // 2)
        write_pack(self.other, small_info(title="Other"), dark, [dark.crop(BOX)] * FRAMES)

    def light(self) -> Pack:
        """Light the portrait or the other; return it once it is lit whole, and nothing else was ever lit."""
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here: mutating takes memory, too
        lit, _ = light_best(self.screen, self.place)
        shown = picture()
        load_or_rest(self.screen, lit, NEVER, bool)
        rows = Path("/proc/self/status").read_text().splitlines()
        self.peak = max(self.peak, *(int(row.split()[1]) / 1024 for row in rows if row.startswith("VmHWM")))
        assert same(shown, picture()), "loading the frames leaves the picture as it is"
        self.is_lit(lit)
        return lit

    def is_lit(self, pack: Pack) -> None:
        """Assert that a pack's base is what the screen shows, and what Pillow finds in the file itself."""
        assert same(picture(), fit_base(pack, self.layout)), "the base is not what is lit"
        with (
            suppress(Exception),
            warnings.catch_warnings(action="ignore"),
            Image.open(pack.folder / "base.png") as image,
        ):
            other = image.convert(
                "RGB"
            )  # Pillow alone refuses some that have only odd things beside the pixels
            self.agreed += other.size == pack.base().size
            if other.size == pack.base().size and not same(other, pack.base()):
                raise SystemExit("the base is not what the file holds")

    def whatever_frame(self, rng: random.Random, pack: Pack) -> None:
        """Show a frame; outside its box nothing changes."""
        self.screen.show(tuple(rng.randrange(grid.count) for grid in pack.info.sitters))
        self.screen.show(tuple(grid.rest for grid in pack.info.sitters))

    def mutated_pack(self, rng: random.Random) -> str:
        """Light a mutated pack."""
        done = packs.mutate(rng, rng.choice(self.wholes), self.place)
        shutil.rmtree(compiled_pack.cache_folder(), ignore_errors=True)
        lit = self.light()
        self.whatever_frame(rng, lit)
        return f"{done}: {'shown' if lit.folder == self.place else 'another shown'}"

    def mutated_compiled(self, rng: random.Random) -> str:
        """Light a pack whose compiled file is mutated, or becomes so while it is shown."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(rng.choice(self.wholes), self.place)
        shutil.rmtree(compiled_pack.cache_folder(), ignore_errors=True)
        pack = self.light()
        (path,) = compiled_pack.cache_folder().glob("pack-*.lit")
        when = "shown" if rng.random() < 0.5 else "before"
        done = compiled.mutate(rng, path.read_bytes(), path)
        if when == "before":
            assert self.light().folder == self.place
            return f"{done} before"
        self.screen._offset = (0, 0)
        self.screen._draw()
        self.is_lit(pack)
        counts = [grid.count for grid in pack.info.sitters]
        for number in range(max(counts)):
            self.screen.show(tuple(number % count for count in counts))
        if self.screen.damage:
            lit, wrong = reload_after_damage(self.screen, self.place, None, NEVER, bool)
            assert lit and (lit.folder, wrong, self.screen.damage) == (self.place, "", "")
            self.is_lit(pack)
        return f"{done} while shown"


def picture() -> Image.Image:
    """Return what the display's surface holds."""
    surface = pygame.display.get_surface()
    assert surface
    return Image.frombytes("RGB", surface.get_size(), pygame.image.tostring(surface, "RGB"))


def same(one: Image.Image, other: Image.Image) -> bool:
    """Tell whether two pictures are the same in every pixel."""
    return one.size == other.size and ImageChops.difference(one, other).getbbox() is None


def main(what: str, seed: str, first: str, count: str, folder: Path) -> None:
    """Meet a batch of mutations."""
    os.environ["STATE_DIRECTORY"] = str(folder / "state")
    os.environ["CACHE_DIRECTORY"] = str(folder / "cache")
    logging.getLogger("appliance").addHandler(Lines())
    config = DisplayConfig(output=f"offscreen:{folder / 'lit'}", width=SIZE[0], height=SIZE[1])
    met: Counter[str] = Counter()
    slowest = 0.0
    with PortraitScreen(config) as screen:
        gallery = Gallery(folder, screen, config)
        one = gallery.mutated_pack if what == "packs" else gallery.mutated_compiled
        for number in range(int(first), int(first) + int(count)):
            faulthandler.dump_traceback_later(SLOWEST, exit=True)
            began = time.monotonic()
            try:
                met[one(random.Random(f"{seed} {number}"))] += 1
            except (Exception, BadPack) as error:
                raise SystemExit(f"mutation {number}: {type(error).__name__}: {error}") from error
            slowest = max(slowest, time.monotonic() - began)
    assert gallery.agreed, "Pillow read none of them"
    faulthandler.cancel_dump_traceback_later()
    found = {"peak_mb": round(gallery.peak, 1), "slowest_s": round(slowest, 2), "met": met}
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    _what, _seed, _first, _count, _folder = sys.argv[1:]
    main(_what, _seed, _first, _count, Path(_folder))
