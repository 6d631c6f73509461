"""From a pack to what can be lit: out of the compiled file, or compiled now."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ctypes import CDLL
from typing import TYPE_CHECKING, Final

from appliance.display import store
from appliance.display.compiled import Compiled, Patches, Plan
from appliance.display.frames import KEY, Frames, pixels_of
from appliance.display.layout import Layout
from appliance.display.sdl import pygame
from appliance.errors import BadCache, BadPack, CannotWrite
from appliance.grid import overlap
from appliance.pack import Pack, as_bad_pack

if TYPE_CHECKING:  # loaded when there is something to compile: the first light needs none of it
    from PIL import Image

log = logging.getLogger(__name__)

DAMAGED: Final = "%s; compiling the portrait anew"
NOT_KEPT: Final = "the compiled portrait is not kept, the next start is slower: %s"
LAST_WHOLE: Final = "%s; showing it as it was last compiled"

# Time limit for making all frames of a pack ready, seconds; the display goes on meanwhile. A guess: a slow
# card and a slow processor need one for the bundled portrait, and a visitor of a pack that takes longer
# sees its sitter at rest.
LONGEST: Final = 300.0
# Bytes of a compiled file in screens: twice those of 33 frames which change all of it.
_MOST_SCREENS: Final = 64
_UNSHOWN: Final = "cannot be shown"


class _Stopped(Exception):
    """The process is to end: what is being compiled is not needed any more."""


class Hanger:
    """Makes packs ready for one screen."""

    def __init__(self, screen: pygame.Surface, layout: Layout) -> None:
        """Prepare for the display's surface, whose pixel format the compiled files have."""
        self._screen = screen
        self._layout = layout
        self._pixels = f"{screen.get_masks()} {screen.get_bytesize()}"

    def at_rest(self, pack: Pack) -> Frames:
        """Return a pack with at least its base, as quickly as can be.

        A damaged one is shown as it was last compiled, if it was, and the log says so.

        Raises
        ------
        BadPack
            If nothing of it can be shown.
        """
        try:
            with as_bad_pack(pack.folder, _UNSHOWN):
                key = store.key_of(pack, self._layout, self._pixels)
                return self._opened(pack, key) or self._drawn(pack)
        except BadPack as error:
            return self._last(pack, error)

    def complete(
        self, pack: Pack, frames: Frames, stop: threading.Event, each: Callable[[], object], keep: bool
    ) -> Frames:
        """Return a pack with all its frames: those given, checked, or compiled now.

        Parameters
        ----------
        frames : what `at_rest` returned; returned as it is if `stop` is set meanwhile
        each : called after every frame, so that the display goes on
        keep : read those that are to be kept ready, because there is room for them already

        Raises
        ------
        BadPack
            If a patch is missing or damaged, or it takes longer than `LONGEST`.
        """
        end = time.monotonic() + LONGEST

        def go_on() -> None:
            if time.monotonic() > end:
                raise BadPack(f"{pack.folder}: not ready within {LONGEST:.0f} s")
            each()

        try:
            with as_bad_pack(pack.folder, _UNSHOWN):
                if frames.compiled:
                    try:
                        if keep:
                            frames.load(go_on)
                        frames.check(go_on)
                    except BadCache as error:
                        log.warning(DAMAGED, error)
                    else:
                        return frames
                try:
                    return self._compile(pack, frames, stop, go_on)
                except _Stopped:
                    return frames
        except BadPack as error:
            return self._last(pack, error, each)

    def _last(self, pack: Pack, error: BadPack, each: Callable[[], object] = bool) -> Frames:
        """Return a damaged pack as it was last compiled, all of it whole; raises `error` if it was not."""
        last = self._opened(pack, None)
        if last is None:
            raise error
        try:
            last.check(each)
        except BadCache:
            raise error from None
        log.error(LAST_WHOLE, error)
        return last

    def _opened(self, pack: Pack, key: str | None) -> Frames | None:
        """Return what was compiled of a pack, its base read; None if there is none that can be used."""
        path = store.path_of(pack, self._layout, self._pixels)
        try:
            frames = self._compiled(pack, Compiled(path, key))
            frames.read_base()
        except FileNotFoundError:
            return None
        except BadCache as error:
            if not error.stale:
                log.warning(DAMAGED, error)
            return None
        store.used(path)
        return frames

    def _compiled(self, pack: Pack, compiled: Compiled) -> Frames:
        """Return the frames of a compiled file; raises `BadCache` if they do not fit."""
        plan = compiled.plan
        if (plan.size, plan.depth) != (self._screen.get_size(), self._screen.get_bytesize()):
            raise BadCache(f"{compiled.path}: of another screen than its name says")
        found = [(patches.frames, patches.resting) for patches in plan.sitters]
        if found != [(grid.count, grid.rest) for grid in pack.info.sitters]:
            raise BadCache(f"{compiled.path}: its frames are not those of pack.toml")
        return Frames(pack.info.sitters, plan.sitters, self._screen, compiled=compiled)

    def _drawn(self, pack: Pack) -> Frames:
        from appliance.display.patches import fitted_base

        base = self._surface(fitted_base(pack, self._layout))
        _give_back()
        return Frames(pack.info.sitters, (), self._screen, base=base)

    def _compile(
        self, pack: Pack, frames: Frames, stop: threading.Event, each: Callable[[], object]
    ) -> Frames:
        from appliance.display.patches import fitted_patches

        def surfaces(sitter: int) -> Iterator[pygame.Surface]:
            for image in fitted_patches(pack, self._layout, sitter)[1]:
                if stop.is_set():
                    raise _Stopped
                each()
                yield self._surface(image, patches[sitter].keyed)

        grids = pack.info.sitters
        key = store.key_of(pack, self._layout, self._pixels)
        base = frames.base or self._drawn(pack).base
        assert base
        boxes = [fitted_patches(pack, self._layout, sitter)[0] for sitter in range(len(grids))]
        patches = tuple(
            Patches(
                box, grid.count, grid.rest, any(overlap(box, other) for other in boxes if other is not box)
            )
            for box, grid in zip(boxes, grids, strict=True)
        )
        size, depth = self._screen.get_size(), self._screen.get_bytesize()
        plan = Plan(key, str(pack.folder.absolute()), size, depth, patches)
        if plan.patches_bytes > _MOST_SCREENS * plan.base_bytes:
            raise BadPack(f"{pack.folder}: its frames are larger than {_MOST_SCREENS} of this screen")
        path = store.path_of(pack, self._layout, self._pixels)
        drawn = itertools.chain.from_iterable(map(surfaces, range(len(grids))))
        try:
            compiled = store.make(path, plan, map(pixels_of, itertools.chain([base], drawn)))
        except CannotWrite as error:
            log.warning(NOT_KEPT, error)
        else:
            _give_back()
            return self._compiled(pack, compiled)
        frames = Frames(grids, patches, self._screen, base=base)
        for sitter in range(len(grids)):
            kept = set(frames.nearest_rest(sitter))
            for frame, surface in enumerate(surfaces(sitter)):
                if frame in kept:
                    frames.put(sitter, frame, surface)
        return frames

    def _surface(self, image: "Image.Image", keyed: bool = False) -> pygame.Surface:
        """Return an image as the screen has its pixels; if `keyed`, the key where it is transparent."""
        from appliance.display.patches import with_key

        image = with_key(image.convert("RGBA"), KEY) if keyed else image.convert("RGB")
        loaded = pygame.image.frombuffer(image.tobytes(), image.size, "RGB")
        return loaded.convert(self._screen)


def _give_back() -> None:
    """Return to the system what scaling took: glibc would keep it, several pictures' worth."""
    with suppress(AttributeError, OSError):
        CDLL(None).malloc_trim(0)
