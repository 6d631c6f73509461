"""Observe whether the graphics card shows what SDL flips, because SDL only logs flips that failed.

The kernel is asked by ioctls of Linux's `drm.h` and `drm_mode.h`, which need no rights beyond an open card.
"""

import errno
import fcntl
import logging
import os
import struct
from array import array
from pathlib import Path
from typing import Final

from appliance.display.monitor import CARDS
from appliance.errors import DisplayLost, DisplayStuck

log = logging.getLogger(__name__)

DISPLAY_TAKEN: Final = (
    "display lost: no new picture has been shown for %.0f s, another program may hold the display; "
    "`sudo mona-lisa doctor` names it"
)
DISPLAY_STUCK: Final = (
    "display lost: no new picture has been shown for %.0f s, though no other program holds the display; "
    "the graphics driver may hang"
)
NOT_OBSERVED: Final = "no descriptor of a graphics card is open: whether the screen is lit cannot be observed"

# Time within which a flip must change what is shown, in seconds: 60 refreshes at 30 Hz.
FLIP_TIMEOUT: Final = 2.0
_CARD: Final = f"{CARDS}/card"
# Identifiers that fit in the answer to a call; SDL has up to four framebuffers, a Pi 5 six CRTCs.
_MAX_IDENTIFIERS: Final = 64

# The structures of the ioctls.
_AUTH: Final = struct.Struct("I")  # drm_auth
_RESOURCES: Final = struct.Struct("4Q8I")  # drm_mode_card_res
_CRTC: Final = struct.Struct("Q7I68x")  # drm_mode_crtc, without its mode


def _request(direction: int, number: int, form: struct.Struct) -> int:
    """Return the code of a DRM ioctl; `direction` is 1 for write, 3 for read and write."""
    return direction << 30 | form.size << 16 | ord("d") << 8 | number


AUTH_MAGIC: Final = _request(1, 0x11, _AUTH)  # the ioctl by which a master authenticates another process
GET_RESOURCES: Final = _request(3, 0xA0, _RESOURCES)  # the ioctl for framebuffers and CRTCs
GET_CRTC: Final = _request(3, 0xA1, _CRTC)  # the ioctl for the framebuffer of a CRTC


class DrmCard:
    """An open graphics card; whoever opened the descriptor must close it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def is_master(self) -> bool:
        """Whether this descriptor may set what is shown.

        Only a master may authenticate others, so the error for an invalid magic number tells. libdrm's
        `drmIsMaster` does the same. The call changes nothing.
        """
        try:
            fcntl.ioctl(self._descriptor, AUTH_MAGIC, _AUTH.pack(0))
        except OSError as error:
            return error.errno != errno.EACCES
        return True

    def resources(self) -> tuple[frozenset[int], tuple[int, ...]]:
        """Return the framebuffers made through this descriptor, and the card's CRTCs; raises `OSError`."""
        framebuffers, crtcs = array("I", [0] * _MAX_IDENTIFIERS), array("I", [0] * _MAX_IDENTIFIERS)
        places = framebuffers.buffer_info()[0], crtcs.buffer_info()[0], 0, 0
        answer = bytearray(_RESOURCES.pack(*places, _MAX_IDENTIFIERS, _MAX_IDENTIFIERS, *[0] * 6))
        fcntl.ioctl(self._descriptor, GET_RESOURCES, answer)
        counts = _RESOURCES.unpack(answer)[4:6]
        return frozenset(framebuffers[: counts[0]]), tuple(crtcs[: counts[1]])

    def shown(self) -> frozenset[int]:
        """Return which of this descriptor's framebuffers are scanned out; none if the card is gone.

        Framebuffers of other programs do not count, because their drawing would look like our flips.
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


def find_own_card(descriptors: Path = Path("/proc/self/fd")) -> DrmCard | None:
    """Return the card that SDL has opened in this process, None if there is none.

    It uses SDL's own descriptor, because another one would not tell which framebuffers are ours. A card
    without CRTCs, such as a Raspberry Pi's 3D card, is ignored.
    """
    found = []
    for link in descriptors.iterdir():
        try:
            if str(link.readlink()).startswith(_CARD) and DrmCard(int(link.name)).resources()[1]:
                found.append(DrmCard(int(link.name)))
        except OSError:
            continue  # the descriptor of this listing, or a card without a display
    return max(found, key=lambda card: card.is_master, default=None)


def is_card_taken(path: Path) -> bool:
    """Tell whether another process is master of a card.

    Opening a card without a master makes this process its master, until the file is closed a moment later. A
    card that cannot be opened counts as free, because SDL then says why it cannot be used.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not DrmCard(descriptor).is_master
    finally:
        os.close(descriptor)


class ScanoutObserver:
    """Checks that each flip changes the framebuffer that is scanned out.

    SDL draws into two to four framebuffers in turn, and never into the one that is shown. So one flip always
    changes it, but two flips may bring the first one back. Therefore it is also checked before each flip.
    """

    def __init__(self, card: DrmCard) -> None:
        self._card = card
        self._shown = card.shown()
        self._flipped: float | None = None

    def look(self) -> None:
        """Check what is shown; must be called before each flip."""
        shown = self._card.shown()
        if shown and shown != self._shown:
            self._shown = shown
            self._flipped = None

    def flipped(self, now: float) -> None:
        """Note a flip at the moment `now` on the monotonic clock, and check whether it is shown already."""
        if self._flipped is None:
            self._flipped = now
        self.look()

    def check(self, now: float, asleep: bool = False) -> None:
        """Check at the moment `now` on the monotonic clock that flips are shown.

        A monitor that is `asleep`, in standby, may have disconnected. What it shows then does not matter as
        long as no other program is master of the card. If no flip was shown for `FLIP_TIMEOUT`, this raises
        `DisplayLost` if another program is master of the card, and `DisplayStuck` if we are.
        """
        self.look()
        if self._flipped is None:
            return
        if asleep and self._card.is_master:
            self._flipped = None
        elif (waited := now - self._flipped) >= FLIP_TIMEOUT:
            if self._card.is_master:
                raise DisplayStuck(DISPLAY_STUCK % waited)
            raise DisplayLost(DISPLAY_TAKEN % waited)


def observe_scanout() -> ScanoutObserver | None:
    """Return the observer of this process's display; None, with a warning, if SDL has no card open."""
    if card := find_own_card():
        return ScanoutObserver(card)
    log.warning(NOT_OBSERVED)
    return None
