"""Reading the published checkpoint: only its weights, never its code, and each entry checked."""

import pickle
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from appliance.errors import BadModel
from appliance.files import open_regular
from appliance.fomm.layers import fold
from appliance.fomm.network import VOX, Architecture, Fomm

_PARTS: Final = ("generator", "kp_detector")
# How many faulty entries are named before the rest is counted, and how much of a name is shown.
_NAMED: Final = 3
_SHOWN: Final = 100
_EXPECTED: Final = "expected vox-cpk or vox-adv-cpk"
# Weights in other kinds of numbers, sparse or without storage are none that training left.
_FLOATS: Final = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# What reading bytes that are no checkpoint can raise: they are read as a program for a small machine.
_NOT_READ: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)


def load_checkpoint(path: Path, sizes: Architecture = VOX, dtype: torch.dtype = torch.float32) -> Fomm:
    """Read a checkpoint into the model, ready to run.

    Parameters
    ----------
    path : vox-cpk.pth.tar or vox-adv-cpk.pth.tar as published, or only their two networks
    sizes : of the model that the file must hold

    Raises
    ------
    BadModel
        In one line: no checkpoint, cut short, carries code, or entries missing, unknown or misshapen.
    """
    whole = _read(path)
    if not isinstance(whole, dict) or not all(isinstance(whole.get(part), dict) for part in _PARTS):
        held = (
            f"keys {', '.join(sorted(map(_name, whole))[:8])}"
            if isinstance(whole, dict)
            else type(whole).__name__
        )
        raise BadModel(f"{path}: no FOMM checkpoint (holds {held}); expected generator and kp_detector")
    with torch.device("meta"):
        model = Fomm(sizes)
    state = {f"{part}.{name}": value for part in _PARTS for name, value in _plain(whole[part]).items()}
    del whole
    _check(path, model, state, dtype)
    model.load_state_dict(state, assign=True)
    model.eval().requires_grad_(False)
    with torch.inference_mode():
        fold(model)
    return model


def _read(path: Path) -> Any:
    try:
        open_regular(path).close()  # from a pipe nothing may ever come
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                held = sum(entry.file_size for entry in archive.infolist())
            # PyTorch packs nothing: what grows when it is unpacked is meant to fill the memory.
            if held > path.stat().st_size:
                raise ValueError("compressed, which PyTorch never writes")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the layout, which is the published one
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise BadModel(f"{path}: no such file; appliance/fomm/README.md says where it is had") from error
    except _NOT_READ as error:
        raise BadModel(f"{path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Say in a few words why bytes are no checkpoint."""
    text = " ".join(str(error).split())
    if code := re.search(r"\bGLOBAL ([\w.]+)", text):
        return f"carries code ({code[1]}) and was not read further; expected weights only"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    # PyTorch's own words advise to read the file unsafely: only what comes after them is told.
    fault = re.search(r"WeightsUnpickler error: (.*?)(?: Check the documentation|$)", text)
    told = fault[1] if fault else "an archive or a program" if "weights_only" in text else text
    told = re.sub(r"^\[enforce fail at [^]]*\][ .]*", "", told)
    told = re.split(r"\. | \(", told)[0].rstrip(".")[:_SHOWN]
    if not re.search(r"[a-z]", told):
        told = "ends too soon" if isinstance(error, EOFError) else "laid out otherwise"
    return f"no checkpoint, or cut short ({told}); {_EXPECTED}"


def _name(key: object) -> str:
    """Return a key as it can be shown: on one line, and not longer than that."""
    return ascii(key)[1:-1][:_SHOWN] if isinstance(key, str) else f"a {type(key).__name__}"


def _plain(entries: dict[Any, Any]) -> dict[str, Any]:
    """Strip the prefix that training on several cards leaves."""
    return {_name(name).removeprefix("module."): value for name, value in entries.items()}


def _check(path: Path, model: Fomm, state: dict[str, Any], dtype: torch.dtype) -> None:
    """Compare names, kinds and shapes with the model's, and bring the values to `dtype`.

    Counters of batches may be missing.
    """
    wanted = model.state_dict()
    faults = []
    for name, like in wanted.items():
        value = state.get(name)
        if value is None and name.endswith("num_batches_tracked"):
            state[name] = torch.zeros((), dtype=torch.int64)
        elif value is None:
            faults.append(f"{name} is missing")
        elif not _is_plain(value, like):
            faults.append(f"{name} is {_kind(value)}, expected {_dtype(like)}")
        elif value.shape != like.shape:
            faults.append(f"{name} is {_shape(value)}, expected {_shape(like)}")
        else:
            state[name] = value = value.to(dtype if like.is_floating_point() else like.dtype).contiguous()
            if not value.isfinite().all():
                faults.append(f"{name} holds numbers that are not finite")
            elif name.endswith("running_var") and bool((value < 0).any()):
                faults.append(f"{name} holds variances below 0")
    faults += [f"{name} is unknown" for name in state if name not in wanted]
    if faults:
        more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        raise BadModel(f"{path}: {'; '.join(faults[:_NAMED])}{more}; {_EXPECTED}")


def _is_plain(value: object, like: Tensor) -> bool:
    """Tell whether a value is an ordinary tensor, in memory, of numbers of the kind of `like`."""
    return (
        type(value) in (Tensor, nn.Parameter)
        and isinstance(value, Tensor)
        and not value.is_nested
        and value.layout == torch.strided
        and not value.is_meta
        and value.dtype in (_FLOATS if like.is_floating_point() else (like.dtype,))
    )


def _kind(value: object) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.is_nested or value.is_meta or value.layout != torch.strided:
        return "no ordinary tensor"
    return _dtype(value)


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a single number"
