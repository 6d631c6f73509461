"""Reading the published checkpoint: only its weights, never its code, and each entry checked."""

import pickle
import re
import struct
import warnings
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from appliance.errors import BadModel
from appliance.fomm.layers import fold
from appliance.fomm.network import VOX, Architecture, Fomm

_PARTS: Final = ("generator", "kp_detector")
# How many faulty entries are named before the rest is counted.
_NAMED: Final = 3
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
            f"keys {', '.join(sorted(map(str, whole))[:8])}"
            if isinstance(whole, dict)
            else type(whole).__name__
        )
        raise BadModel(f"{path}: no FOMM checkpoint (holds {held}); expected generator and kp_detector")
    with torch.device("meta"):
        model = Fomm(sizes)
    state = {f"{part}.{name}": value for part in _PARTS for name, value in _plain(whole[part]).items()}
    del whole
    _check(path, model, state)
    for name, value in state.items():
        state[name] = value.to(dtype if value.is_floating_point() else torch.int64).contiguous()
    model.load_state_dict(state, assign=True)
    model.eval().requires_grad_(False)
    with torch.inference_mode():
        fold(model)
    return model


def _read(path: Path) -> Any:
    try:
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
    told = fault[1] if fault else "" if "weights_only" in text else text
    return f"no checkpoint, or cut short ({told[:80].rstrip() or type(error).__name__})"


def _plain(entries: dict[Any, Any]) -> dict[str, Any]:
    """Strip the prefix that training on several cards leaves."""
    return {str(name).removeprefix("module."): value for name, value in entries.items()}


def _check(path: Path, model: Fomm, state: dict[str, Any]) -> None:
    """Compare names, kinds and shapes with the model's; counters of batches may be missing."""
    wanted = model.state_dict()
    faults = []
    for name, like in wanted.items():
        value = state.get(name)
        if value is None and name.endswith("num_batches_tracked"):
            state[name] = torch.zeros((), dtype=torch.int64)
        elif value is None:
            faults.append(f"{name} is missing")
        elif not isinstance(value, Tensor) or value.is_floating_point() != like.is_floating_point():
            faults.append(f"{name} is {_kind(value)}, expected {_kind(like)}")
        elif value.shape != like.shape:
            faults.append(f"{name} is {_shape(value)}, expected {_shape(like)}")
        elif not value.isfinite().all():
            faults.append(f"{name} holds numbers that are not finite")
    faults += [f"{name} is unknown" for name in state if name not in wanted]
    if faults:
        more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        raise BadModel(f"{path}: {'; '.join(faults[:_NAMED])}{more}; expected vox-cpk or vox-adv-cpk")


def _kind(value: object) -> str:
    return str(value.dtype).removeprefix("torch.") if isinstance(value, Tensor) else type(value).__name__


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a single number"
