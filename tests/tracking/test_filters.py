import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.tracking.filters import (
    AngleFilter,
    advance_filter,
    apply_hysteresis,
    ease_in_out,
    prediction_time,
    start_filter,
)

ANGLES = st.floats(-60, 60)


def smooth(values: list[float], dt: float, distance: float = 2000.0) -> list[AngleFilter]:
    """The filter's states over samples of a viewer at a distance in mm, `dt` seconds apart."""
    states = [start_filter(values[0], 0.0)]
    for i, value in enumerate(values[1:], 1):
        states.append(advance_filter(value, i * dt, distance, states[-1], cutoff=0.7))
    return states


class TestStanding:
    @given(ANGLES, st.floats(0.005, 0.5))
    def test_a_constant_passes_unchanged(self, value: float, dt: float) -> None:
        assert [s.value for s in smooth([value] * 20, dt)] == pytest.approx([value] * 20)

    def test_noise_is_calmed_and_not_extrapolated(self) -> None:
        noise = np.random.default_rng(1).normal(0, 0.1, 600)
        states = smooth(noise.tolist(), 1 / 30)
        assert np.std([s.value for s in states[60:]]) < 0.4 * np.std(noise)
        assert {s.speed for s in states} == {0.0}

    def test_a_nodding_head_is_followed_without_extrapolation(self) -> None:
        """A head that moves 25 mm to either side, once in three seconds, at 1.5 m."""
        times = np.arange(0, 9, 1 / 30)
        true = np.degrees(np.arctan(25 * np.sin(2 * np.pi * times / 3) / 1500))
        states = smooth(true.tolist(), 1 / 30, 1500.0)
        assert {s.speed for s in states[5:]} == {0.0}
        assert np.abs(np.subtract([s.value for s in states], true)).max() < 0.7

    @given(st.floats(-30, 30), st.floats(2, 30), st.sampled_from([10, 15, 30]))
    def test_a_single_outlier_moves_nothing(self, place: float, off: float, rate: int) -> None:
        states = smooth([place] * 10 + [place + off] + [place] * 10, 1 / rate)
        assert [s.value for s in states] == pytest.approx([place] * 21)
        assert {s.speed for s in states} == {0.0}

    @given(st.floats(-30, 30), st.floats(2, 30), st.sampled_from([10, 15, 30]))
    def test_a_sudden_step_counts_once_confirmed(self, place: float, off: float, rate: int) -> None:
        states = smooth([place] * 10 + [place + off] * 90, 1 / rate)
        assert states[10].value == place and states[11].value > place
        assert states[-1].value == pytest.approx(place + off, abs=0.5)


class TestWalking:
    def test_a_walk_is_followed_without_lag(self) -> None:
        walk = np.arange(0, 3, 1 / 30) * 20  # 0.7 m/s at 2 m
        states = smooth(walk.tolist(), 1 / 30)
        assert states[-1].value == pytest.approx(walk[-1]) and states[-1].speed == pytest.approx(20, rel=0.01)

    @pytest.mark.parametrize("seed", range(4))
    def test_noise_hardly_raises_a_walkers_speed(self, seed: int) -> None:
        """The speed that is extrapolated varies much less upwards than from one sample to the next."""
        walk = np.arange(0, 3, 1 / 30) * 20 + np.random.default_rng(seed).normal(0, 0.15, 90)
        speeds = [s.speed for s in smooth(walk.tolist(), 1 / 30)[15:]]
        assert max(speeds) - 20 < 0.6 * (max(np.diff(walk)[14:] * 30) - 20)
        assert np.mean(speeds) > 17

    def test_a_slow_walk_is_followed_without_lag(self) -> None:
        walk = np.degrees(np.arange(0, 3, 1 / 30) * 0.3 / 2)  # 0.3 m/s at 2 m
        state = smooth(walk.tolist(), 1 / 30)[-1]
        assert state.value == pytest.approx(walk[-1])
        assert state.speed == pytest.approx(np.degrees(0.15), rel=0.01)

    @pytest.mark.parametrize("rate", [10, 15, 30])
    def test_a_start_is_believed_within_three_pictures(self, rate: int) -> None:
        walk = [0.0] * rate + [30 * (i + 1) / rate for i in range(rate)]  # 1 m/s at 2 m, at once
        states = smooth(walk, 1 / rate)
        assert states[rate + 2].value == pytest.approx(walk[rate + 2], abs=1.5)

    def test_a_start_that_goes_on_is_not_doubted_again(self) -> None:
        walk = [0.0] * 10 + [1.2, 4.5]  # at 2 m: 42 mm, then 115 mm within a tenth of a second
        assert smooth(walk, 0.1)[-1].value > 4.0

    def test_a_slow_camera_sees_walkers_too(self) -> None:
        walk = [20 * i / 3 for i in range(9)]  # three pictures a second
        assert smooth(walk, 1 / 3)[-1].speed == pytest.approx(20, rel=0.05)

    @pytest.mark.parametrize("rate", [10, 15, 30])
    def test_a_stop_ends_the_speed_within_two_pictures(self, rate: int) -> None:
        walk = [30 * i / rate for i in range(2 * rate)]
        states = smooth(walk + [walk[-1]] * rate, 1 / rate)
        assert [s.speed for s in states[2 * rate + 1 :]] == pytest.approx([0.0] * (rate - 1))
        assert states[-1].value == pytest.approx(walk[-1], abs=0.5)

    @given(st.lists(ANGLES, min_size=3, max_size=30), st.floats(0.01, 0.2), st.floats(500, 5000))
    def test_the_filter_stays_within_its_samples(
        self, values: list[float], dt: float, distance: float
    ) -> None:
        states = smooth(values, dt, distance)
        assert min(values) - 1e-9 <= min(s.value for s in states)
        assert max(s.value for s in states) <= max(values) + 1e-9

    @given(st.floats(-30, 30), st.floats(-40, 40), st.floats(1.5, 3))
    def test_fifteen_and_thirty_pictures_agree(self, start: float, size: float, seconds: float) -> None:
        """On a walk that begins and ends at rest, at the moments both have in common."""

        def walked(rate: int) -> list[float]:
            times = np.arange(0, seconds + 2, 1 / rate)
            return [
                s.value
                for s in smooth(
                    [start + size * ease_in_out(float(t - 0.5) / seconds) for t in times], 1 / rate
                )
            ]

        fine, coarse = walked(30)[::2], walked(15)
        apart = np.abs(np.subtract(fine[: len(coarse)], coarse[: len(fine)])).max()
        assert apart <= 0.1 * abs(size) + 0.3


@pytest.mark.parametrize("step", [0.0, -0.1])
def test_a_sample_that_is_not_later_changes_nothing(step: float) -> None:
    state = start_filter(1.0, 5.0)
    assert advance_filter(9.0, 5.0 + step, 2000.0, state, 0.7) is state


@given(st.floats(-1, 5), st.floats(0, 2))
def test_the_lead_is_the_age_at_first_and_never_more(age: float, reach: float) -> None:
    assert 0 <= prediction_time(age, reach) <= min(max(age, 0), reach) + 1e-12
    assert prediction_time(0.1, 0.5) == pytest.approx(0.1, rel=0.02)


@given(st.floats(-5, 40), st.integers(0, 32), st.floats(0, 0.49))
def test_the_frame_is_off_by_half_a_step_and_hysteresis_at_most(
    position: float, shown: int, hysteresis: float
) -> None:
    frame = apply_hysteresis(position, shown, hysteresis, 33)
    assert 0 <= frame <= 32
    assert abs(frame - min(max(position, 0), 32)) <= 0.5 + hysteresis + 1e-9


@given(st.floats(0, 32), st.floats(-0.14, 0.14), st.integers(0, 32))
def test_jitter_smaller_than_the_hysteresis_never_flickers(
    position: float, jitter: float, shown: int
) -> None:
    frame = apply_hysteresis(position, shown, 0.15, 33)
    frames = {
        frame := apply_hysteresis(position + sign * jitter, frame, 0.15, 33) for sign in (1, -1, 1, -1, 1)
    }
    assert len(frames) <= 2  # it may settle once, then stays
    assert apply_hysteresis(position, frame, 0.15, 33) == frame
