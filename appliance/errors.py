"""Everything this package raises on purpose: one line for a technician, and an exit code."""

from typing import ClassVar


class ApplianceError(Exception):
    """Base of everything this package raises on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigError(ApplianceError, ValueError):
    """A config file or a command-line value is wrong."""

    exit_code = 2


class BadManifest(ApplianceError, ValueError):
    """A manifest of models or portraits is unreadable or incomplete."""


class BadAsset(ApplianceError, ValueError):
    """A fetched file is missing or not the one its manifest names."""


class AssetUnavailable(ApplianceError, OSError):
    """A pinned package or file could not be downloaded, or is not in the folder given."""


class BadImage(ApplianceError, ValueError):
    """A file is not a picture that can be read whole."""


class BadModel(ApplianceError, ValueError):
    """A model file does not load or is not the model expected."""


class NoRuntime(ApplianceError, ImportError):
    """The TFLite runtime that was chosen, or any at all, cannot be imported."""


class BadPack(ApplianceError, ValueError):
    """A pack is missing, damaged or of another format."""


class UnfitPortrait(ApplianceError, ValueError):
    """A picture cannot be brought to life: no face, hidden eyes and the like."""


class CannotWrite(ApplianceError, OSError):
    """A file or folder cannot be written."""


class NotPermitted(ApplianceError, PermissionError):
    """Something that the present user may not do or read."""


class ServiceRuns(ApplianceError, RuntimeError):
    """The service holds what a command wants for itself."""


class CameraAbsent(ApplianceError, OSError):
    """No camera is connected, or its software is not installed."""


class CameraBusy(ApplianceError, OSError):
    """Another process holds the camera."""


class CameraStalled(ApplianceError, TimeoutError):
    """The camera delivered no picture within its timeout."""


class CameraEnded(ApplianceError, EOFError):
    """A recorded camera has no more pictures."""


class NoDisplay(ApplianceError, OSError):
    """No display can be opened."""


class NotCalibrated(ApplianceError, RuntimeError):
    """Calibration was given up, or the marks make no sense."""


class DisplayLost(ApplianceError, OSError):
    """The display was unplugged, changed its mode or is another program's.

    The service then starts its process anew, because SDL crashes if a process opens KMSDRM twice.
    """

    exit_code = 75  # sysexits' EX_TEMPFAIL: try again


class DisplayStuck(ApplianceError, OSError):
    """The graphics driver shows nothing new, though no other program holds the display.

    The process ends instead of starting anew by itself, because systemd counts that: it restarts the service,
    and after five failures `reboot_or_pause.py` may reboot the machine, which may help a driver.
    """


class BadCache(ApplianceError, ValueError):
    """A compiled pack is damaged or, `stale`, was made of something else; it is made anew."""

    def __init__(self, message: str, stale: bool = False) -> None:
        super().__init__(message)
        self.stale = stale


class BadFilm(ApplianceError, ValueError):
    """A film cannot be read, or does not show what it must."""


class NoExtra(ApplianceError, ImportError):
    """An optional part of this package is not installed."""
