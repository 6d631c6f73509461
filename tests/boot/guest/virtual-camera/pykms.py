"""Stands in for Raspberry Pi OS's pykms, which Debian lacks: picamera2 imports it for previews only."""


class _AnyFormat:
    def __getattr__(self, name: str) -> str:
        return name


PixelFormat = _AnyFormat()
