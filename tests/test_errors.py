import inspect

import pytest

from appliance import errors
from appliance.errors import ApplianceError, CameraStalled, ConfigError, DisplayLost

KINDS = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_our_own_and_says_what_it_means(kind: type) -> None:
    assert issubclass(kind, ApplianceError)
    assert inspect.getdoc(kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not ApplianceError])
def test_every_error_is_also_a_builtin_and_prints_one_line(kind: type[ApplianceError]) -> None:
    builtin = kind.__mro__[2]
    assert builtin.__module__ == "builtins"
    assert builtin is not Exception
    assert str(kind("camera.py: no camera")) == "camera.py: no camera"


def test_exit_codes_are_2_for_config_75_for_display_else_1() -> None:
    others = [kind for kind in KINDS if kind not in (ConfigError, DisplayLost)]
    assert {kind.exit_code for kind in others if issubclass(kind, ApplianceError)} == {1}
    assert ConfigError.exit_code == 2
    assert DisplayLost.exit_code == 75


def test_a_stalled_camera_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        raise CameraStalled("no picture for 5 s")
