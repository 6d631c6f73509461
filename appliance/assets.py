"""Models and pictures out of pinned, hash-checked packages: where they lie, how they are fetched."""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_type_hints

from appliance.errors import AssetUnavailable, BadAsset, BadManifest
from appliance.files import check_contents, check_writable, open_regular, write_atomic
from appliance.schema import ANY_TEXT, ANY_WHOLE, CheckedTable, ValueRule, parse_toml, read_toml_text

MODEL_MANIFEST: Final = "models/manifest.toml"
PORTRAIT_MANIFEST: Final = "frames/portraits.toml"
MANIFESTS: Final = (MODEL_MANIFEST, PORTRAIT_MANIFEST)  # the manifests of fetched files
_RULES: Final[dict[type, ValueRule]] = {str: ANY_TEXT, int: ANY_WHOLE}
_PACKAGE: Final = Path(__file__).parent
_IN_WHEEL: Final = _PACKAGE / "shipped"  # made by setup.py; a checkout does not have it


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package of a fixed version on the package index; `python` and `platform` are its tags."""

    name: str
    version: str
    python: str
    platform: str
    file: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that is extracted from a wheel to `folder`; sizes are in bytes."""

    name: str
    what: str
    wheel: Wheel
    member: str
    size: int
    sha256: str
    licence: str
    folder: Path

    @property
    def path(self) -> Path:
        """Path of the file once it was fetched."""
        return self.folder / self.name


@dataclass(frozen=True, slots=True)
class KnownPainting:
    """A painting that can be installed by name, and its description.

    `url` is where it is downloaded from; empty for one that is in frames/.
    """

    name: str
    title: str
    artist: str
    licence: str
    file: str
    size: int
    sha256: str
    url: str


def home_folder() -> Path:
    """Return the folder for fetched files and portraits, in its models/ and frames/.

    It is MONA_LISA_HOME if that is set, else the checkout, or for an installed wheel the user's cache folder:
    $XDG_CACHE_HOME/mona-lisa, by default ~/.cache/mona-lisa.
    """
    if folder := os.environ.get("MONA_LISA_HOME"):
        return Path(folder)
    if not _IN_WHEEL.is_dir():
        return _PACKAGE.parent
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (cache if cache.is_absolute() else Path.home() / ".cache") / "mona-lisa"


def shipped_file(name: str) -> Path:
    """Return the path of a file that comes with the program: a manifest, or a painting in frames/.

    In a checkout it lies in `home_folder()`; an installed wheel has it in the package.
    """
    folder = _IN_WHEEL if _IN_WHEEL.is_dir() and not os.environ.get("MONA_LISA_HOME") else home_folder()
    return folder / name


def model_path(name: str) -> Path:
    """Return the path of a model after checking it, because the runtime crashes on a damaged one.

    Raises `BadAsset` if it was not fetched yet, or differs from its manifest; `BadManifest` if the manifest
    of models cannot be read.
    """
    path = _present(home_folder() / "models" / name)
    for asset in _load(shipped_file(MODEL_MANIFEST), path.parent):
        if asset.path == path and (wrong := asset_fault(asset)):
            raise BadAsset(wrong)
    return path


def photograph_path(name: str) -> Path:
    """Return the path of a photograph of the gallery; raises `BadAsset` if it was not fetched."""
    return _present(home_folder() / "frames" / name)


def load_assets(root: Path | None = None, manifests: Sequence[str] = MANIFESTS) -> list[Asset]:
    """Read manifests: of the models, and of the photographs of the simulated gallery.

    Raises `BadManifest` if one is missing or not TOML, or an entry lacks a key or has an unknown one.
    """
    home = root or home_folder()
    files = [(root / name if root else shipped_file(name), home / Path(name).parent) for name in manifests]
    return [asset for path, folder in files for asset in _load(path, folder)]


def load_portraits(root: Path | None = None) -> list[KnownPainting]:
    """Read the paintings that can be installed by name; raises `BadManifest`."""
    path = root / PORTRAIT_MANIFEST if root else shipped_file(PORTRAIT_MANIFEST)
    return [_entry(KnownPainting, row, path) for row in _rows(_tree(path), "portrait", path)]


def fetch_assets(assets: list[Asset], source: Path | None, say: Callable[[str], None]) -> None:
    """Fetch the files that are missing or wrong, from the package index or from wheels in `source`.

    `say` receives one line for each step. Raises `AssetUnavailable` if a wheel is not in `source` or pip
    cannot download it, `BadAsset` if a wheel or a file in it has another size or hash or the file is not in
    the wheel, and `CannotWrite` if the folder cannot be written.
    """
    wanted: dict[Wheel, list[Asset]] = {}
    for asset in assets:
        if asset_fault(asset) is None:
            say(f"{asset.name}: already there")
        else:
            wanted.setdefault(asset.wheel, []).append(asset)
    for members in wanted.values():
        check_writable(members[0].path)
    for wheel, members in wanted.items():
        with tempfile.TemporaryDirectory(prefix="mona-lisa-") as folder:
            say(f"{wheel.file}: {wheel.size / 1e6:.1f} MB from {source or 'the package index'}")
            path = _find(wheel, source) if source else _download(wheel, Path(folder))
            _check_file(path, wheel.size, wheel.sha256, str(path if source else wheel.file))
            contents = [_extract(path, asset) for asset in members]  # all are checked before any is written
            for asset, data in zip(members, contents, strict=True):
                write_atomic(asset.path, data)
                say(f"{asset.name}: {asset.size:,} bytes, right")


def asset_fault(asset: Asset) -> str | None:
    """Return what is wrong with a fetched file, in one line; None if nothing is."""
    try:
        _check_file(asset.path, asset.size, asset.sha256, str(asset.path))
    except OSError as error:
        return f"{asset.path}: {error.strerror}; run `mona-lisa assets fetch`"
    except BadAsset as error:
        return f"{error}; run `mona-lisa assets fetch`"
    return None


def _present(path: Path) -> Path:
    if not path.is_file():
        raise BadAsset(f"{path}: missing; run `mona-lisa assets fetch`")
    return path


def _tree(path: Path) -> dict[str, Any]:
    try:
        return parse_toml(read_toml_text(path))
    except (OSError, ValueError) as error:
        raise BadManifest(f"{path}: cannot be read ({error})") from error


def _load(path: Path, folder: Path) -> list[Asset]:
    """Read a manifest; its files are fetched into `folder`."""
    tree = _tree(path)
    wheels = {row["name"]: _entry(Wheel, row, path) for row in _rows(tree, "wheel", path)}
    assets = []
    for row in _rows(tree, "file", path):
        name, wheel = row["name"], row.get("wheel")
        if not isinstance(wheel, str) or wheel not in wheels:
            raise _checked(row, path).refusal("wheel", "expected a [[wheel]]")
        if Path(name).name != name:
            raise BadManifest(f"{path}: {name}: expected the name of a file")
        assets.append(_entry(Asset, row, path, wheel=wheels[wheel], folder=folder))
    return assets


def _rows(tree: dict[str, Any], kind: str, path: Path) -> list[dict[str, Any]]:
    rows = tree.get(kind, [])
    tables = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    if not tables or not all(isinstance(row.get("name"), str) for row in rows):
        raise BadManifest(f"{path}: expected every {kind} as [[{kind}]] with a name")
    return list(rows)


def _checked(row: dict[str, Any], path: Path) -> CheckedTable:
    return CheckedTable(row, lambda _: f"{path}: {row['name']}: ", BadManifest)


def _entry(kind: Any, row: dict[str, Any], path: Path, **made: Any) -> Any:
    """Make an entry of a row: `made` are the fields that are not in it, or are of another kind there."""
    table = _checked({key: value for key, value in row.items() if key not in made}, path)
    expected = {name: plain for name, plain in get_type_hints(kind).items() if name not in made}
    table.check_keys(expected)
    return kind(**{name: table.get(name, plain, _RULES[plain]) for name, plain in expected.items()}, **made)


def _check_file(path: Path, size: int, sha256: str, name: str) -> None:
    """Check size and hash of a file; raises `BadAsset` or OSError."""
    with open_regular(path) as file:
        if (found := os.fstat(file.fileno()).st_size) != size:
            raise BadAsset(f"{name}: {found:,} bytes, expected {size:,}")
        check_contents(file.read(), size, sha256, name)


def _find(wheel: Wheel, source: Path) -> Path:
    path = source / wheel.file
    if not os.access(path, os.R_OK):
        expected = f"expected {wheel.name} {wheel.version} in that folder"
        raise AssetUnavailable(f"{path}: no such wheel, or not readable; {expected}")
    return path


def _download(wheel: Wheel, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--retries=2", f"--dest={folder}"]
    command += ["--implementation=cp", f"--python-version={wheel.python}", f"--abi=cp{wheel.python}"]
    command += [f"--platform={wheel.platform}", f"{wheel.name}=={wheel.version}"]
    import subprocess  # imported here, and zipfile below, because a starting service does not need them

    on_terminal = sys.stdout.isatty()  # pip then shows its progress bar
    done = subprocess.run(
        command, stdout=None if on_terminal else subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    path = folder / wheel.file
    if done.returncode == 0 and path.is_file():
        return path
    told = done.stderr.splitlines()
    errors = [line for line in told if line.startswith("ERROR")] or told or ["pip fetched another file"]
    raise AssetUnavailable(
        f"{wheel.name} {wheel.version}: cannot be fetched ({errors[-1]}); "
        f"check the network, or put {wheel.file} into a folder and give it with --from"
    )


def _extract(path: Path, asset: Asset) -> bytes:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            data = archive.read(asset.member)
    except KeyError as error:
        raise BadAsset(f"{path.name}: no member {asset.member}") from error
    except zipfile.BadZipFile as error:
        raise BadAsset(f"{path.name}: not a wheel ({error})") from error
    check_contents(data, asset.size, asset.sha256, f"{path.name}: {asset.member}")
    return data


_TIMEOUT: Final = 15.0  # time without data after which a connection has failed, in seconds (guess)
_TRIES: Final = 4  # attempts before giving up (guess)
_READ_BLOCK: Final = 65536  # bytes that are read at a time


def download_file(url: str, size: int, sha256: str) -> bytes:
    """Return the bytes at an http or https URL; the usual environment variables set a proxy.

    A connection that breaks is resumed where it broke; more than `size` bytes are never read. Raises
    `AssetUnavailable` if the file cannot be downloaded, and `BadAsset` if it has another size or hash.
    """
    # Here, because `run` reads the list of assets before the first light and downloads nothing.
    import http.client
    import urllib.error

    data, cause = bytearray(), "no answer"
    for _ in range(_TRIES):
        try:
            _resume(url, size, data)
        except urllib.error.HTTPError as error:
            cause = f"HTTP {error.code} {error.reason}"
            if error.code < 500:
                break
        except (OSError, http.client.HTTPException) as error:
            cause = str(getattr(error, "reason", "") or error) or type(error).__name__
        else:
            if len(data) > size:
                raise BadAsset(f"{url}: more than {size:,} bytes, expected {size:,}")
            check_contents(bytes(data), size, sha256, url)
            return bytes(data)
    raise AssetUnavailable(f"{url}: cannot be downloaded ({cause}); check the network")


def _resume(url: str, size: int, data: bytearray) -> None:
    """Read the missing rest into `data`, but at most one byte more than `size`."""
    import http.client
    import urllib.request

    request = urllib.request.Request(url, headers={"Range": f"bytes={len(data)}-"} if data else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        if answer.status != 206:
            data.clear()  # the server starts from the beginning
        while len(data) <= size and (chunk := answer.read(min(_READ_BLOCK, size + 1 - len(data)))):
            data += chunk
        promised = answer.headers.get("Content-Length")
        if len(data) < size and promised is not None and answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
