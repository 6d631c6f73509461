"""Whether the graphics card shows what SDL flips, as the kernel tells it: SDL only logs a flip that failed.

The ioctls are those of Linux's `drm.h` and `drm_mode.h`; none of them needs rights beyond an open card.
"""

import errno
import fcntl
import logging
import os
import struct
from array import array
from pathlib import Path
from typing import Final

from appliance.errors import DisplayLost, DisplayStuck

log = logging.getLogger(__name__)

TAKEN: Final = (
    "display lost: no new picture has been shown for %.0f s, another program may hold the display; "
    "`sudo mona-lisa doctor` names it"
)
STUCK: Final = (
    "display lost: no new picture has been shown for %.0f s, though no other program holds the display; "
    "the graphics driver may hang"
)
UNOBSERVED: Final = "no descriptor of a graphics card is open: whether the screen is lit cannot be observed"

PATIENCE: Final = 2.0  # seconds in which a flip must change what is shown: 60 refreshes at 30 Hz
_CARD: Final = "/dev/dri/card"
_MOST: Final = 64  # room for identifiers in a call; SDL has up to four framebuffers, a Pi 5 six CRTCs

# What the kernel is asked: direction (1 write, 3 both), number and structure of the ioctls.
_AUTH: Final = struct.Struct("I")  # drm_auth
_RESOURCES: Final = struct.Struct("4Q8I")  # drm_mode_card_res
_CRTC: Final = struct.Struct("Q7I68x")  # drm_mode_crtc, its mode passed over


def _request(direction: int, number: int, form: struct.Struct) -> int:
    """Return the code of an ioctl of DRM."""
    return direction << 30 | form.size << 16 | ord("d") << 8 | number


AUTH_MAGIC: Final = _request(1, 0x11, _AUTH)
GET_RESOURCES: Final = _request(3, 0xA0, _RESOURCES)
GET_CRTC: Final = _request(3, 0xA1, _CRTC)


class Card:
    """An open graphics card; the descriptor remains its opener's."""

    def __init__(self, descriptor: int) -> None:
        """Note the descriptor."""
        self._descriptor = descriptor

    @property
    def is_master(self) -> bool:
        """Whether this descriptor may set what is shown.

        Only a master may authenticate others, so the answer to a wrong magic number tells; libdrm's
        `drmIsMaster` asks the same way. Nothing is changed by it.
        """
        try:
            fcntl.ioctl(self._descriptor, AUTH_MAGIC, _AUTH.pack(0))
        except OSError as error:
            return error.errno != errno.EACCES
        return True

    def resources(self) -> tuple[frozenset[int], tuple[int, ...]]:
        """Return the framebuffers made through this descriptor, and the card's CRTCs; raises `OSError`."""
        framebuffers, crtcs = array("I", [0] * _MOST), array("I", [0] * _MOST)
        places = framebuffers.buffer_info()[0], crtcs.buffer_info()[0], 0, 0
        answer = bytearray(_RESOURCES.pack(*places, _MOST, _MOST, *[0] * 6))
        fcntl.ioctl(self._descriptor, GET_RESOURCES, answer)
        counts = _RESOURCES.unpack(answer)[4:6]
        return frozenset(framebuffers[: counts[0]]), tuple(crtcs[: counts[1]])

    def shown(self) -> frozenset[int]:
        """Return which of this descriptor's framebuffers are scanned out; none if the card is gone.

        Another program's are left out: one that goes on drawing would otherwise pass for our flips.
        """
        try:
            own, crtcs = self.resources()
            return own & {self._framebuffer(crtc) for crtc in crtcs}
        except OSError:
            return frozenset()

    def _framebuffer(self, crtc: int) -> int:
        answer = bytearray(_CRTC.pack(0, 0, crtc, *[0] * 5))
        fcntl.ioctl(self._descriptor, GET_CRTC, answer)
        return int(_CRTC.unpack(answer)[3])


def own_card(descriptors: Path = Path("/proc/self/fd")) -> Card | None:
    """Return the card that SDL has opened in this process, None if there is none.

    SDL's own descriptor is used: another one would not know which framebuffers are ours. A card without
    CRTCs, such as a Pi's 3D card, is passed over.
    """
    found = []
    for link in descriptors.iterdir():
        try:
            if str(link.readlink()).startswith(_CARD) and Card(int(link.name)).resources()[1]:
                found.append(Card(int(link.name)))
        except OSError:
            continue  # the descriptor of this very listing, or a card that shows nothing
    return max(found, key=lambda card: card.is_master, default=None)


def taken(path: Path) -> bool:
    """Tell whether another process is master of a card.

    Who opens a card that has no master becomes master, here until the file is closed a moment later. A card
    that cannot be opened counts as free: SDL then says why it cannot be used.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not Card(descriptor).is_master
    finally:
        os.close(descriptor)


class Scanout:
    """Compares what is shown before and after each flip: another framebuffer must be scanned out.

    SDL draws into two to four framebuffers by turns and never into the one that is shown, so that one
    flip always changes it; two flips may bring the first one back. Hence a look before each flip.
    """

    def __init__(self, card: Card) -> None:
        """Begin with what the card shows now."""
        self._card = card
        self._shown = card.shown()
        self._flipped: float | None = None

    def look(self) -> None:
        """Look at what is shown: to be called before each flip."""
        shown = self._card.shown()
        if shown and shown != self._shown:
            self._shown = shown
            self._flipped = None

    def flipped(self, now: float) -> None:
        """Note a flip, at the moment `now` of the monotonic clock, and look whether it has arrived."""
        if self._flipped is None:
            self._flipped = now
        self.look()

    def check(self, now: float, asleep: bool = False) -> None:
        """Look again at the moment `now` of the monotonic clock.

        A monitor that is `asleep`, in standby, may have let go of the line: what it shows does not matter as
        long as the display is ours.

        Raises
        ------
        DisplayLost
            If no flip has changed what is shown for `PATIENCE`, because the display is another program's.
        DisplayStuck
            If the display is ours nevertheless.
        """
        self.look()
        if self._flipped is None:
            return
        if asleep and self._card.is_master:
            self._flipped = None
        elif (waited := now - self._flipped) >= PATIENCE:
            raise DisplayStuck(STUCK % waited) if self._card.is_master else DisplayLost(TAKEN % waited)


def observe() -> Scanout | None:
    """Return what observes this process's display; None, and a warning, if SDL has no card open."""
    card = own_card()
    if card is None:
        log.warning(UNOBSERVED)
        return None
    return Scanout(card)
