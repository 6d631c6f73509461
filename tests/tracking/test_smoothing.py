import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.tracking.smoothing import OneEuro, Trend, caught_up, ease, lead, one_euro, settle, trend

ANGLES = st.floats(-60, 60)


def smooth(values: list[float], dt: float) -> list[float]:
    state, out = OneEuro(values[0]), []
    for value in values:
        state = one_euro(value, dt, state, min_cutoff=1.0, beta=0.5)
        out.append(state.value)
    return out


@given(st.lists(ANGLES, min_size=2, max_size=60), st.floats(0.005, 0.5))
def test_the_filter_stays_within_what_it_was_given(values: list[float], dt: float) -> None:
    out = smooth(values, dt)
    assert min(values) - 1e-9 <= min(out) and max(out) <= max(values) + 1e-9


@given(ANGLES, st.floats(0.005, 0.5))
def test_a_constant_passes_unchanged(value: float, dt: float) -> None:
    assert smooth([value] * 20, dt) == pytest.approx([value] * 20)


@given(ANGLES, ANGLES)
def test_the_filter_arrives_where_the_viewer_stops(start: float, end: float) -> None:
    assert smooth([start] + [end] * 300, 1 / 30)[-1] == pytest.approx(end, abs=0.05)


def test_noise_on_a_still_viewer_is_calmed_and_a_walk_is_followed_with_little_lag() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 600)
    assert np.std(smooth(noise.tolist(), 1 / 30)[60:]) < 0.6 * np.std(noise)
    walk = np.arange(0, 3, 1 / 30) * 20  # 20 degrees/s
    lag = (walk - smooth(walk.tolist(), 1 / 30))[-1] / 20
    assert 0 <= lag < 0.03


def test_the_camera_slowing_down_in_the_dark_does_not_change_the_speed_of_the_filter() -> None:
    fast, slow = smooth([0.0] + [10.0] * 30, 1 / 30), smooth([0.0] + [10.0] * 15, 1 / 15)
    assert fast[-1] == pytest.approx(slow[-1], abs=0.3)


@given(st.floats(-60, 60), st.floats(1, 60), st.floats(0.01, 0.2))
def test_a_step_is_never_overshot(start: float, size: float, dt: float) -> None:
    out = smooth([start] * 5 + [start + size] * 60, dt)
    assert max(out) <= start + 1.02 * size


@given(st.floats(-30, 30), st.floats(-40, 40), st.floats(0.5, 3))
def test_fifteen_and_thirty_pictures_a_second_agree(start: float, size: float, seconds: float) -> None:
    """On a walk that begins and ends at rest, at the moments both have in common."""

    def walked(rate: int) -> list[float]:
        times = np.arange(0, seconds + 2, 1 / rate)
        return smooth([start + size * ease(float(t - 0.5) / seconds) for t in times], 1 / rate)

    fine, coarse = walked(30)[::2], walked(15)
    assert np.abs(np.subtract(fine[: len(coarse)], coarse[: len(fine)])).max() <= 0.1 * abs(size) + 1e-9


def trends(values: list[float], dt: float) -> list[float]:
    state, out = Trend(values[0]), []
    for value in values[1:]:
        state = trend(value, dt, state)
        out.append(state.speed)
    return out


def test_the_trend_of_a_walk_is_its_speed_and_a_stop_ends_it_within_two_pictures() -> None:
    walk = [20 * i / 30 for i in range(20)]
    speeds = trends(walk + [walk[-1]] * 5, 1 / 30)
    assert speeds[17] == pytest.approx(20)
    assert speeds[20:] == pytest.approx([0] * 4)


@given(st.lists(ANGLES, min_size=3, max_size=30), st.floats(0.01, 0.2))
def test_the_trend_never_exceeds_the_last_step(values: list[float], dt: float) -> None:
    steps = np.abs(np.diff(values)) / dt
    assert all(abs(speed) <= step + 1e-9 for speed, step in zip(trends(values, dt), steps, strict=True))


@given(st.floats(-1, 5), st.floats(0, 2))
def test_the_lead_is_the_age_at_first_and_never_more(age: float, reach: float) -> None:
    assert 0 <= lead(age, reach) <= min(max(age, 0), reach) + 1e-12
    assert lead(0.1, 0.5) == pytest.approx(0.1, rel=0.02)


@given(st.lists(ANGLES, min_size=2, max_size=30), st.floats(-200, 200))
def test_catching_up_never_passes_the_newest_sample(values: list[float], speed: float) -> None:
    state = OneEuro(values[0])
    for value in values:
        state = one_euro(value, 1 / 30, state, 1.0, 0.5)
        low, high = sorted((state.value, value))
        assert low <= caught_up(state, value, speed, 1.0, 0.5) <= high


@pytest.mark.parametrize("dt", [0.0, -0.1, float("nan")])
def test_time_must_go_forward(dt: float) -> None:
    with pytest.raises(ValueError, match="expected a positive number of seconds"):
        one_euro(1.0, dt, OneEuro(0.0), 1.0, 0.5)


@given(st.floats(-5, 40), st.integers(0, 32), st.floats(0, 0.49))
def test_the_frame_shown_is_never_further_off_than_half_a_frame_and_the_hysteresis(
    position: float, shown: int, hysteresis: float
) -> None:
    frame = settle(position, shown, hysteresis, 33)
    assert 0 <= frame <= 32
    assert abs(frame - min(max(position, 0), 32)) <= 0.5 + hysteresis + 1e-9


@given(st.floats(0, 32), st.floats(-0.14, 0.14), st.integers(0, 32))
def test_jitter_smaller_than_the_hysteresis_never_flickers(
    position: float, jitter: float, shown: int
) -> None:
    frame = settle(position, shown, 0.15, 33)
    frames = {frame := settle(position + sign * jitter, frame, 0.15, 33) for sign in (1, -1, 1, -1, 1)}
    assert len(frames) <= 2  # it may settle once, then stays
    assert settle(position, frame, 0.15, 33) == frame
