"""Facts about the charts: what is drawn, where, and with which name for a screen reader."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from worker.console.charts import over_time
from worker.console.charts.compared import Interval, meter, whiskers
from worker.console.charts.over_time import Label, Sample, Subject

UNTIL = datetime(2026, 3, 4, 7, 30, tzinfo=UTC)
SUBJECT = Subject("chart", "What it shows.", UNTIL - timedelta(hours=24), UNTIL)
NAMES = ("Africa's Talking", "Legacy")
NUMBERS = re.compile(r"-?[\d.]+")


def parsed(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 - our own


def title(picture: str) -> str:
    return parsed(picture).findtext("{*}title") or parsed(picture).findtext("title") or ""


def of_class(picture: str, *names: str) -> list[ET.Element]:
    wanted = set(names)
    return [e for e in parsed(picture).iter() if wanted <= set(e.get("class", "").split())]


def span(line: ET.Element) -> tuple[float, float]:
    """Where a straight line begins and ends, from left to right."""
    x1, _, x2, _ = map(float, NUMBERS.findall(line.get("d", "")))
    return x1, x2


def at(hours: float) -> datetime:
    return UNTIL - timedelta(hours=hours)


def share(*labels: Label, sent: list[Sample] | None = None) -> str:
    samples = [Sample(at(24), 10.0), Sample(at(0), 10.0)] if sent is None else sent
    return over_time.share(SUBJECT, samples, [Sample(at(24), 10.0)], labels)


# --- intervals -----------------------------------------------------------------------------


def test_whiskers_stay_within_an_axis_that_holds_both() -> None:
    wide, narrow = Interval(60.0, 98.9, 99.9), Interval(97.9, 98.1, 98.3)
    picture = whiskers("success", NAMES, wide, narrow)
    assert picture is not None
    width = float(parsed(picture).get("viewBox", "").split()[2])
    spans = [
        span(line) for role in ("target", "legacy") for line in of_class(picture, role, "line")
    ]
    assert len(spans) == 2
    assert all(0 <= low < high <= width for low, high in spans)
    assert spans[0][0] < spans[1][0] < spans[1][1] < spans[0][1]


def test_whiskers_say_both_rates_in_their_name() -> None:
    picture = whiskers("success", NAMES, Interval(98.5, 98.9, 99.2), Interval(97.9, 98.1, 98.3))
    assert picture is not None
    assert title(picture) == (
        "Africa's Talking 98.9 %, 95 % interval 98.5 to 99.2; "
        "Legacy 98.1 %, 95 % interval 97.9 to 98.3."
    )


def test_a_provider_without_a_rate_has_no_whisker() -> None:
    picture = whiskers("success", NAMES, None, Interval(97.9, 98.1, 98.3))
    assert picture is not None
    assert of_class(picture, "target") == []
    assert whiskers("success", NAMES, None, None) is None


# --- detectors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "level"), [(0.0, "ok"), (6.6, "ok"), (6.7, "warn"), (13.2, "bad"), (99.0, "bad")]
)
def test_a_meter_changes_at_half_and_at_the_alarm(value: float, level: str) -> None:
    picture = meter("m", "Failed", value, 13.2)
    (bar,) = of_class(picture, "level")
    assert level in bar.get("class", "").split()
    assert float(bar.get("width", "")) <= 120


def test_a_meter_beyond_its_alarm_reaches_beyond_the_mark() -> None:
    picture = meter("m", "Failed", 15.8, 13.2)
    (bar,), (alarm,) = of_class(picture, "level"), of_class(picture, "alarm")
    assert float(bar.get("width", "")) > float(alarm.get("x", ""))
    assert title(picture) == "Failed: 15.8, alarm at 13.2, alarm."


def test_the_half_mark_is_in_the_middle_of_zero_and_alarm() -> None:
    picture = meter("m", "Failed", 1.0, 13.2)
    (half,), (alarm,) = of_class(picture, "half"), of_class(picture, "alarm")
    assert span(half)[0] == pytest.approx((float(alarm.get("x", "")) + 1.5) / 2, abs=0.1)


# --- over time -----------------------------------------------------------------------------


def test_labels_of_changes_never_overlap() -> None:
    labels = [Label(at(hours / 4), f"step back to {hours} %") for hours in range(1, 30)]
    places = {}
    for text in of_class(share(*labels), "label"):
        width = len(text.text or "") * 5.1
        x = float(text.get("x", ""))
        left = x - width if text.get("text-anchor") == "end" else x
        places.setdefault(text.get("y"), []).append((left, left + width))
    assert places
    for row in places.values():
        row.sort()
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(row))


def test_the_newest_change_always_has_its_label() -> None:
    labels = [Label(at(hours / 10), f"{hours} %") for hours in range(20, 0, -1)]
    shown = [text.text for text in of_class(share(*labels), "label")]
    assert "1 %" in shown


def test_each_change_has_a_line_whether_its_label_fits_or_not() -> None:
    labels = [Label(at(hours / 100), "a long label") for hours in range(20)]
    assert len(of_class(share(*labels), "change")) == 20


def test_a_missing_value_is_a_gap_and_no_zero() -> None:
    sent = [Sample(at(24), 10.0), Sample(at(18), None), Sample(at(12), 10.0), Sample(at(6), 10.0)]
    (line,) = of_class(share(sent=sent), "target", "line")
    assert line.get("d", "").count("M") == 2
    heights = {point.split()[1] for point in re.split("[ML]", line.get("d", ""))[1:]}
    assert len(heights) == 1


def test_the_share_that_is_set_is_a_line_of_steps() -> None:
    configured = [Sample(at(24), 5.0), Sample(at(12), 25.0)]
    picture = over_time.share(SUBJECT, [], configured, [])
    (line,) = of_class(picture, "set")
    points = [tuple(map(float, p.split())) for p in re.split("[ML]", line.get("d", ""))[1:]]
    assert len(points) == 4
    assert points[0][1] == points[1][1] != points[2][1] == points[3][1]
    assert points[1][0] == points[2][0]


def test_the_axis_has_few_ticks_at_round_hours() -> None:
    ticks = [e.get("data-time", "") for e in parsed(share()).iter() if e.get("data-time")]
    assert 2 <= len(ticks) <= 5
    assert all(tick.endswith(":00:00Z") for tick in ticks)


def test_nothing_is_drawn_above_the_axis_of_failures() -> None:
    samples = [Sample(at(24), 1.0), Sample(at(1), 100.0)]
    picture = over_time.failures(SUBJECT, samples, [])
    (line,) = of_class(picture, "target", "line")
    heights = [float(point.split()[1]) for point in re.split("[ML]", line.get("d", ""))[1:]]
    assert min(heights) >= 8


@pytest.mark.parametrize(
    "picture",
    [share(), meter("m", "Failed", 1.0, 2.0), over_time.failures(SUBJECT, [], [])],
    ids=["share", "meter", "failures"],
)
def test_every_chart_is_an_image_with_a_name_and_no_inline_style(picture: str) -> None:
    root = parsed(picture)
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") in {e.get("id") for e in root.iter()}
    assert title(picture)
    assert not [e for e in root.iter() if e.get("style")]


def test_texts_are_escaped() -> None:
    assert "<script>" not in share(Label(at(3), "<script>alert(1)</script>"))
