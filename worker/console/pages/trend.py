"""The section "Last 24 hours": the share and the failures over time, as charts and as a table.

Rules: a point of the failures needs `LEAST` outcomes: slots with fewer are taken together with the
next ones, so that one failure among three messages is no peak. The last point has what there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from worker.console import formats, wording
from worker.console.charts import over_time
from worker.console.charts.over_time import Label, Sample
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from markupsafe import Markup

    from contracts.answers import SeriesAnswer, ShareChange

LEAST: Final = 30
_DAYS_FROM: Final = 48
"""Hours from which on a period is said in days."""
_ROWS: Final = 24
"""Rows of the table, at most about."""
_BACK: Final[Mapping[str, str]] = {
    ReplyCode.ROLLED_BACK: "automatic rollback",
    ReplyCode.STEPPED_BACK: "step back",
}


@dataclass(frozen=True, slots=True)
class TrendRow:
    """A line of the table: a part of the period."""

    at: datetime
    sent: str
    share: str
    target_failed: str
    legacy_failed: str
    attempts: str


@dataclass(frozen=True, slots=True)
class Trend:
    """The section."""

    title: str
    target: str
    legacy: str
    share: Markup
    failures: Markup
    rows: tuple[TrendRow, ...]
    changes: tuple[ShareChange, ...]


def trend(series: SeriesAnswer, prefix: str = "") -> Trend:
    """Draw a period.

    Args:
        series: what happened in it.
        prefix: makes the ids of the charts unique in the page.
    """
    target, legacy = (wording.provider(each) for each in (series.target, series.legacy))
    period = (series.since, series.until)
    sent, configured = _sent(series), _configured(series)
    rates = [_failed(series, name) for name in (series.target, series.legacy)]
    hours = _hours(series)
    return Trend(
        title=f"Last {hours}",
        target=target,
        legacy=legacy,
        share=over_time.share(
            _share_sentence(series, target, hours), period, sent, configured, _labels(series)
        ),
        failures=over_time.failures(
            f"Failed, last {hours}: {target} {_range(rates[0])}; {legacy} {_range(rates[1])}.",
            period, *rates,
        ),
        rows=tuple(_rows(series)),
        changes=tuple(series.changes),
    )  # fmt: skip


def _hours(series: SeriesAnswer) -> str:
    hours = round((series.until - series.since) / timedelta(hours=1))
    return f"{hours} hours" if hours < _DAYS_FROM else f"{hours // 24} days"


def _slots(series: SeriesAnswer) -> list[datetime]:
    longest = max((len(each.attempts) for each in series.providers.values()), default=0)
    step = timedelta(seconds=series.slot_s)
    return [series.since + step * number for number in range(longest)]


def _sent(series: SeriesAnswer) -> list[Sample]:
    target, legacy = (_counts(series, name, "assigned") for name in (series.target, series.legacy))
    pairs = [(each, each + other) for each, other in zip(target, legacy, strict=True)]
    return _merged(series, pairs, least=1)


def _failed(series: SeriesAnswer, name: str) -> list[Sample]:
    errors, accepted = (_counts(series, name, kind) for kind in ("errors", "accepted"))
    pairs = [(each, each + other) for each, other in zip(errors, accepted, strict=True)]
    return _merged(series, pairs, least=LEAST)


def _counts(series: SeriesAnswer, name: str, kind: str) -> list[int]:
    """Counts by slot; zeros for a provider that the answer does not have."""
    found = series.providers.get(name)
    slots = len(_slots(series))
    counts = list(getattr(found, kind)) if found else []
    return [*counts, *[0] * (slots - len(counts))]


def _merged(series: SeriesAnswer, pairs: Sequence[tuple[int, int]], least: int) -> list[Sample]:
    """Rates in per cent in the middle of their slots; a slot without any outcome is a gap."""
    found, count, total, begin = [], 0, 0, None
    half = timedelta(seconds=series.slot_s / 2)
    slots = _slots(series)
    for at, (events, of) in zip(slots, pairs, strict=True):
        if not of and not total:
            found.append(Sample(at + half, None))
            continue
        begin = begin or at
        count, total = count + events, total + of
        if total >= least or at == slots[-1]:
            found.append(Sample(begin + (at - begin) / 2 + half, 100.0 * count / total))
            count, total, begin = 0, 0, None
    return found


def _configured(series: SeriesAnswer) -> list[Sample]:
    changes = [Sample(each.at, float(each.share_after)) for each in series.changes]
    return [Sample(series.since, float(series.share)), *changes]


def _labels(series: SeriesAnswer) -> list[Label]:
    moved = (each for each in series.changes if each.share_after != each.share_before)
    return [Label(each.at, _label(each)) for each in moved]


def _label(change: ShareChange) -> str:
    share = f"{change.share_after} %"
    back = _BACK.get(change.command)
    if back is None:
        return share
    return f"{back} to {share}" if change.share_after else back


def _share_sentence(series: SeriesAnswer, target: str, hours: str) -> str:
    present = series.changes[-1].share_after if series.changes else series.share
    many = len(_labels(series))
    changes = "no change" if not many else f"{many} change{'s' if many > 1 else ''}"
    return f"Share to {target}: {present} % now, {changes} in the last {hours}."


def _range(samples: Sequence[Sample]) -> str:
    values = [each.value for each in samples if each.value is not None]
    if not values:
        return "not known"
    return f"{min(values):.1f} to {max(values):.1f} %, now {values[-1]:.1f} %"


def _rows(series: SeriesAnswer) -> Iterator[TrendRow]:
    """The table: whole hours, or as many slots as make about `_ROWS` rows."""
    slots = _slots(series)
    every = max(-(-len(slots) // _ROWS), 1)
    for begin in range(0, len(slots), every):
        part = slice(begin, begin + every)
        yield _row(series, slots[begin], part)


def _row(series: SeriesAnswer, at: datetime, part: slice) -> TrendRow:
    def rate(count: int, total: int) -> str:
        return formats.percent(100.0 * count / total if total else None)

    def counted(name: str, kind: str) -> int:
        return sum(_counts(series, name, kind)[part])

    target, legacy = series.target, series.legacy
    assigned = [counted(name, "assigned") for name in (target, legacy)]
    failed = [
        rate(counted(n, "errors"), counted(n, "errors") + counted(n, "accepted"))
        for n in (target, legacy)
    ]
    until = at + timedelta(seconds=series.slot_s) * (part.stop - part.start)
    return TrendRow(
        at=at,
        sent=rate(assigned[0], sum(assigned)),
        share=f"{_share_at(series, until)} %",
        target_failed=failed[0],
        legacy_failed=failed[1],
        attempts=formats.count(sum(counted(name, "attempts") for name in (target, legacy))),
    )


def _share_at(series: SeriesAnswer, at: datetime) -> int:
    return next(
        (each.share_after for each in reversed(series.changes) if each.at < at), series.share
    )
