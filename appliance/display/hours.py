"""Opening hours: whether the screen is to be lit at a moment, by the wall clock of the house."""

from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from appliance.config import WEEK, HoursConfig

_DAY: Final = 24 * 60


def spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return a weekday's openings as minutes from its midnight; an end may lie on the next day."""
    if text == "closed":
        return ()
    if text == "always":
        return ((0, _DAY),)
    found = []
    for span in text.split(","):
        start, end = (_minutes(moment) for moment in span.strip().split("-"))
        found.append((start, end if end > start else end + _DAY))
    return tuple(found)


class Hours:
    """The hours of a week, the days it stays closed, and the zone in which both are meant."""

    def __init__(self, config: HoursConfig) -> None:
        """Read them out of a config that was checked."""
        self._zone: tzinfo | None = None
        if config.timezone:
            from zoneinfo import ZoneInfo  # here, because without a zone the first light need not wait for it

            self._zone = ZoneInfo(config.timezone)
        self._week = [spans(getattr(config, day)) for day in WEEK]
        self._closed = frozenset(config.closed_days)

    def open_at(self, moment: float) -> bool:
        """Tell whether it is open at `moment`, seconds since 1970.

        An opening belongs to the day on which it begins, so that the night after a closed day's eve
        runs to its end. Both ends are moments of the wall clock, once a day: when clocks go back,
        the first time they show it; a time they leap over is as long after midnight as usual.
        """
        today = datetime.fromtimestamp(moment, self._zone).date()
        # An opening lasts a day at most; tomorrow's may begin before midnight as clocks leap over it.
        for day in (today - timedelta(1), today, today + timedelta(1)):
            if day.isoformat() in self._closed or day.isoformat()[5:] in self._closed:
                continue
            for start, end in self._week[day.weekday()]:
                if self._moment(day, start) <= moment < self._moment(day, end):
                    return True
        return False

    def _moment(self, day: date, minutes: int) -> float:
        clock = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)
        return clock.replace(tzinfo=self._zone).timestamp()


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
