import inspect

import pytest

from appliance import errors
from appliance.errors import ApplianceError, CameraStalled, ConfigError, DisplayLost

KINDS = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_the_appliances_own_and_says_what_it_means(kind: type) -> None:
    assert issubclass(kind, ApplianceError)
    assert inspect.getdoc(kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not ApplianceError])
def test_every_kind_is_also_a_builtin_kind_and_prints_its_one_line(kind: type[ApplianceError]) -> None:
    builtin = kind.__mro__[2]
    assert builtin.__module__ == "builtins"
    assert builtin is not Exception
    assert str(kind("camera.py: no camera")) == "camera.py: no camera"


def test_a_wrong_config_ends_with_2_a_lost_display_with_75_and_all_else_with_1() -> None:
    assert {kind.exit_code for kind in KINDS if kind not in (ConfigError, DisplayLost)} == {1}
    assert ConfigError.exit_code == 2
    assert DisplayLost.exit_code == 75


def test_a_stalled_camera_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        raise CameraStalled("no picture for 5 s")
