"""One small file from the web: bounded, resumed, and checked before anybody sees it."""

import hashlib
from typing import Final

from appliance.errors import AssetUnavailable, BadAsset

_TIMEOUT: Final = 15.0
_TRIES: Final = 4
_CHUNK: Final = 65536


def download(url: str, size: int, sha256: str) -> bytes:
    """Return the bytes at a URL; proxies are taken from the environment, as usual.

    Parameters
    ----------
    url : http or https
    size : of the file in bytes; more is never read
    sha256 : of the file

    Raises
    ------
    AssetUnavailable
        If the file cannot be had; a connection that breaks is taken up again where it broke.
    BadAsset
        If it has another size or hash.
    """
    # Here, because `run` reads the list of assets before the first light and downloads nothing.
    import http.client
    import urllib.error

    data, cause = bytearray(), "no answer"
    for _ in range(_TRIES):
        try:
            _read_on(url, size, data)
        except urllib.error.HTTPError as error:
            cause = f"HTTP {error.code} {error.reason}"
            if error.code < 500:
                break
        except (OSError, http.client.HTTPException) as error:
            cause = str(getattr(error, "reason", "") or error) or type(error).__name__
        else:
            _check(bytes(data), url, size, sha256)
            return bytes(data)
    raise AssetUnavailable(f"{url}: cannot be had ({cause}); check the network")


def _read_on(url: str, size: int, data: bytearray) -> None:
    """Read what is missing into `data`, to its end or one byte past `size`."""
    import http.client
    import urllib.request

    request = urllib.request.Request(url, headers={"Range": f"bytes={len(data)}-"} if data else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        if answer.status != 206:
            data.clear()  # the server begins anew
        while len(data) <= size and (chunk := answer.read(min(_CHUNK, size + 1 - len(data)))):
            data += chunk
        promised = answer.headers.get("Content-Length")
        if len(data) < size and promised is not None and answer.length:
            raise http.client.IncompleteRead(b"", answer.length)


def _check(data: bytes, url: str, size: int, sha256: str) -> None:
    if len(data) != size:
        found = f"more than {size:,}" if len(data) > size else f"{len(data):,}"
        raise BadAsset(f"{url}: {found} bytes, expected {size:,}")
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise BadAsset(f"{url}: SHA-256 {found}, expected {sha256}")
