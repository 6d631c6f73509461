"""From a pack to what can be lit: out of the compiled file, or compiled now."""

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from ctypes import CDLL
from typing import TYPE_CHECKING, Final

from appliance.display import store
from appliance.display.compiled import Compiled, Plan
from appliance.display.frames import Frames
from appliance.display.layout import Layout
from appliance.display.sdl import pygame
from appliance.errors import BadCache, BadPack, CannotWrite
from appliance.pack import Pack

if TYPE_CHECKING:  # loaded when there is something to compile: the first light needs none of it
    from PIL import Image

log = logging.getLogger(__name__)

DAMAGED: Final = "%s; compiling the portrait anew"
NOT_KEPT: Final = "the compiled portrait is not kept, the next start is slower: %s"
LAST_WHOLE: Final = "%s; showing it as it was last compiled"


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
            key = store.key_of(pack, self._layout, self._pixels)
            if compiled := self._opened(pack, key):
                return self._mapped(compiled)
            return self._drawn(pack)
        except BadPack as error:
            return self._last(pack, error)

    def complete(
        self, pack: Pack, frames: Frames, stop: threading.Event, each: Callable[[], object]
    ) -> Frames:
        """Return a pack with all its frames: those given, checked, or compiled now.

        Parameters
        ----------
        frames : what `at_rest` returned; returned as it is if `stop` is set meanwhile
        each : called after every frame, so that the display goes on

        Raises
        ------
        BadPack
            If a patch is missing or damaged.
        """
        if frames.compiled:
            try:
                frames.compiled.check(each)
            except BadCache as error:
                log.warning(DAMAGED, error)
            else:
                return frames
        try:
            return self._compile(pack, frames, stop, each)
        except _Stopped:
            return frames
        except BadPack as error:
            return self._last(pack, error)

    def _last(self, pack: Pack, error: BadPack) -> Frames:
        """Return a damaged pack as it was last compiled, all of it whole; raises `error` if it was not."""
        last = self._opened(pack, None)
        if last is None or last.plan.frames != pack.info.frames:
            raise error
        try:
            last.check(bool)
        except BadCache:
            raise error from None
        log.error(LAST_WHOLE, error)
        return self._mapped(last)

    def _opened(self, pack: Pack, key: str | None) -> Compiled | None:
        path = store.path_of(pack, self._layout, self._pixels)
        try:
            compiled = Compiled(path, key)
        except FileNotFoundError:
            return None
        except BadCache as error:
            if not error.stale:
                log.warning(DAMAGED, error)
            return None
        store.used(path)
        return compiled

    def _mapped(self, compiled: Compiled) -> Frames:
        plan = compiled.plan
        return Frames(plan.box, plan.frames, plan.resting, self._screen, compiled=compiled)

    def _drawn(self, pack: Pack) -> Frames:
        from appliance.display.patches import fitted_base

        base = self._surface(fitted_base(pack, self._layout))
        _give_back()
        return Frames((0, 0, 1, 1), 0, pack.info.resting, self._screen, base=base)

    def _compile(
        self, pack: Pack, frames: Frames, stop: threading.Event, each: Callable[[], object]
    ) -> Frames:
        from appliance.display.patches import fitted_patches

        def surfaces() -> Iterator[pygame.Surface]:
            for image in images:
                if stop.is_set():
                    raise _Stopped
                each()
                yield self._surface(image)

        info = pack.info
        key = store.key_of(pack, self._layout, self._pixels)
        base = frames.base or self._drawn(pack).base
        assert base
        box, images = fitted_patches(pack, self._layout)
        plan = Plan(
            key,
            str(pack.folder.absolute()),
            self._screen.get_size(),
            self._screen.get_bytesize(),
            box,
            info.frames,
            info.resting,
        )
        path = store.path_of(pack, self._layout, self._pixels)
        try:
            compiled = store.make(path, plan, map(_raw, itertools.chain([base], surfaces())))
        except CannotWrite as error:
            log.warning(NOT_KEPT, error)
        else:
            frames = self._mapped(compiled)
            compiled.forget()
            _give_back()
            return frames
        frames = Frames(box, info.frames, info.resting, self._screen, base=base)
        box, images = fitted_patches(pack, self._layout)
        for frame, surface in enumerate(surfaces()):
            frames.put(frame, surface)
        return frames

    def _surface(self, image: "Image.Image") -> pygame.Surface:
        loaded = pygame.image.frombuffer(image.tobytes(), image.size, "RGB")
        return loaded.convert(self._screen)


def _give_back() -> None:
    """Return to the system what scaling took: glibc would keep it, several pictures' worth."""
    with suppress(AttributeError, OSError):
        CDLL(None).malloc_trim(0)


def _raw(surface: pygame.Surface) -> memoryview:
    """Return a surface's pixels, not copied."""
    return memoryview(surface.get_buffer())  # type: ignore[arg-type]  # it is a buffer
