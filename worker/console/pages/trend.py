"""The section "Last 24 hours": the share and the failures over time, as charts and as a table.

Rules: a point of the failures needs `LEAST` outcomes: slots with fewer are taken together with the
next ones, so that one failure among three messages is no peak. The last point has what there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.console import wording
from worker.console.charts import over_time
from worker.console.charts.over_time import Label, Sample, Subject
from worker.console.pages.slots import Slots, rows
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from markupsafe import Markup

    from contracts.answers import SeriesAnswer, ShareChange
    from worker.console.pages.slots import SlotRow

LEAST: Final = 30
_DAYS_FROM: Final = 48
"""Hours from which on a period is said in days."""
_BACK: Final[Mapping[str, str]] = MappingProxyType(
    {ReplyCode.ROLLED_BACK: "automatic rollback", ReplyCode.STEPPED_BACK: "step back"}
)


@dataclass(frozen=True, slots=True)
class Trend:
    """The section."""

    title: str
    target: str
    legacy: str
    share: Markup
    failures: Markup
    rows: tuple[SlotRow, ...]
    """The table of both charts."""
    changes: tuple[ShareChange, ...]


def trend(series: SeriesAnswer, prefix: str = "") -> Trend:
    """Draw a period.

    Args:
        series: what happened in it.
        prefix: makes the ids of the charts unique in the page.
    """
    slots = Slots.of(series)
    target, legacy = (wording.provider(each) for each in (series.target, series.legacy))
    hours, rates = _hours(series), [_failed(slots, role) for role in ("target", "legacy")]
    failed = f"Failed, last {hours}: {target} {_range(rates[0])}; {legacy} {_range(rates[1])}."

    def subject(ident: str, sentence: str) -> Subject:
        return Subject(prefix + ident, sentence, series.since, series.until)

    about = subject("share", _share_sentence(series, target, hours))
    return Trend(
        title=f"Last {hours}",
        target=target,
        legacy=legacy,
        share=over_time.share(about, _sent(slots), _configured(series), _labels(series)),
        failures=over_time.failures(subject("failures", failed), *rates),
        rows=tuple(rows(slots, series)),
        changes=tuple(series.changes),
    )


def _hours(series: SeriesAnswer) -> str:
    hours = round((series.until - series.since) / timedelta(hours=1))
    return f"{hours} hours" if hours < _DAYS_FROM else f"{hours // 24} days"


def _sent(slots: Slots) -> list[Sample]:
    pairs = zip(slots.counts("target", "assigned"), slots.counts("legacy", "assigned"), strict=True)
    return _merged(slots, [(ours, ours + theirs) for ours, theirs in pairs], least=1)


def _failed(slots: Slots, role: str) -> list[Sample]:
    pairs = zip(slots.counts(role, "errors"), slots.counts(role, "accepted"), strict=True)
    return _merged(slots, [(bad, bad + good) for bad, good in pairs], least=LEAST)


def _merged(slots: Slots, pairs: Sequence[tuple[int, int]], least: int) -> list[Sample]:
    """Rates in per cent in the middle of their slots; a slot without any outcome is a gap."""
    found: list[Sample] = []
    count = total = 0
    begin: datetime | None = None
    for at, (events, of) in zip(slots.begins, pairs, strict=True):
        if not of and not total:
            found.append(Sample(at + slots.length / 2, None))
            continue
        begin = begin or at
        count, total = count + events, total + of
        if total >= least or at == slots.begins[-1]:
            middle = begin + (at - begin + slots.length) / 2
            found.append(Sample(middle, 100.0 * count / total))
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
