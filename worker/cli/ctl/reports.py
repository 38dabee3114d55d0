"""Lays out the answers of `ctl health` and `ctl comparison`.

Rules: both providers stand side by side, at 80 columns. A rate is shown with its sample and its
95 % interval. An unknown value is `-`, and a line below says why. A report of another version, with
other fields than ours, is shown as it came (`answer_parts`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from rich.text import Text

from contracts.health import ComparisonMetric, HealthMetric
from worker.cli.ctl.screen import answer_parts
from worker.cli.ctl.views import line, plain, table, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import RenderableType
    from rich.table import Table

    from contracts.control import ControlReply
    from contracts.health import Differences, ProviderHealth, Rate, RateDifference
    from contracts.model import Wire

    Row = tuple[str, Any]


def health_parts(reply: ControlReply) -> Iterator[RenderableType]:
    """Yield the figures of both providers, what is out of bounds and what is unknown."""
    metric = _read(HealthMetric, reply)
    if not isinstance(metric, HealthMetric):
        yield from answer_parts(reply)
        return
    yield _head(metric)
    yield _side_by_side({name: dict(_figures(each)) for name, each in metric.providers.items()})
    yield from _remarks(metric.providers.items())


def comparison_parts(reply: ControlReply) -> Iterator[RenderableType]:
    """Yield both providers, the difference between them, and what the migration saves."""
    metric = _read(ComparisonMetric, reply)
    if not isinstance(metric, ComparisonMetric):
        yield from answer_parts(reply)
        return
    order = {name: metric.providers[name] for name in (metric.target, metric.legacy)}
    columns = {name: dict(_compared(each)) for name, each in order.items()}
    yield _head(metric)
    yield _side_by_side({**columns, "difference": dict(_differences(metric.difference))})
    yield Text()
    yield from map(line, _savings(metric))
    yield from _remarks(order.items())


def _read(model: type[Wire], reply: ControlReply) -> Wire | None:
    try:
        return model.model_validate(reply.data)
    except ValidationError:
        return None


def _head(metric: HealthMetric | ComparisonMetric) -> Text:
    period = f"{metric.since:%Y-%m-%d %H:%M:%S} to {metric.until:%Y-%m-%d %H:%M:%S} UTC"
    return line(f"{period} ({plain(metric.hours)} h)", "bold")


def _side_by_side(columns: dict[str, dict[str, Any]]) -> Table:
    shown = table("", *columns)
    for name in dict.fromkeys(name for rows in columns.values() for name in rows):
        shown.add_row(name, *(line(plain(rows.get(name))) for rows in columns.values()))
    return shown


def _figures(health: ProviderHealth) -> Iterator[Row]:
    yield "role", health.role
    yield "attempts", health.attempts
    yield "accepted", health.accepted
    yield "refused", health.refused
    yield "wrong recipient", health.wrong_recipient
    yield "wrong for this provider", health.wrong_message
    yield "success rate", _rate(health.success_rate)
    yield "error rate", _rate(health.error_rate)
    for name, count in health.errors_by_class.model_dump().items():
        yield f"  {words(name)}", count
    yield "fallback rate", _rate(health.fallback_rate)
    yield from _times(health, _time)
    yield "delivery rate", _rate(health.delivery_rate)
    yield "segments", health.segments
    for currency, cost in health.cost.items():
        yield f"{currency} in all", f"{cost.total:f}"
        yield f"{currency} a message", _amount(cost.per_message)
        yield f"{currency} a delivered one", _amount(cost.per_delivered)
    yield "validation success", _rate(health.validation.success_rate)
    yield "validation delivery", _rate(health.validation.delivery_rate)


def _compared(health: ProviderHealth) -> Iterator[Row]:
    yield "accepted", health.accepted
    yield "success rate", _percent(health.success_rate)
    yield "error rate", _percent(health.error_rate)
    yield "delivery rate", _percent(health.delivery_rate)
    yield from _times(health, _time)
    for currency, cost in health.cost.items():
        yield f"{currency} a message", _amount(cost.per_message)
        yield f"{currency} a delivered one", _amount(cost.per_delivered)


def _differences(differences: Differences) -> Iterator[Row]:
    yield "success rate", _points(differences.success_rate)
    yield "error rate", _points(differences.error_rate)
    yield "delivery rate", _points(differences.delivery_rate)
    yield from _times(differences, _more)
    for currency, cost in differences.cost.items():
        yield f"{currency} a message", _amount(cost.per_message, "+")
        yield f"{currency} a delivered one", _amount(cost.per_delivered, "+")


def _times(
    figures: ProviderHealth | Differences, shown: Callable[[float | None], str | None]
) -> Iterator[Row]:
    yield "response p50", shown(figures.p50_ms)
    yield "response p95", shown(figures.p95_ms)
    yield "response p99", shown(figures.p99_ms)
    yield "response mean", shown(figures.mean_ms)


def _savings(metric: ComparisonMetric) -> Iterator[str]:
    saved = metric.savings
    if saved is None:
        yield f"savings: not known: {metric.savings_unknown}"
        return
    each = f"{_amount(saved.per_message, '+')} {saved.currency} a message"
    yield f"savings of {metric.target} against {metric.legacy}: {each}"
    yield f"  so far in the period: {saved.actual:+f} {saved.currency}"
    yield f"  at 100 % of its {saved.messages} messages: {saved.projected:+f} {saved.currency}"


def _remarks(providers: Iterable[tuple[str, ProviderHealth]]) -> Iterator[RenderableType]:
    for name, each in providers:
        if each.issues or each.missing:
            yield Text()
        yield from (line(f"{name}: {issue}", "bold red") for issue in each.issues)
        yield from (line(f"{name}: {text}", "yellow") for text in each.missing)


def _rate(rate: Rate | None) -> str | None:
    if rate is None or rate.percent is None:
        return None
    interval = f"{plain(rate.low)} to {plain(rate.high)}"
    return f"{plain(rate.percent)} % of {rate.sample} ({interval})"


def _percent(rate: Rate | None) -> str | None:
    return None if rate is None or rate.percent is None else f"{plain(rate.percent)} %"


def _points(difference: RateDifference | None) -> str | None:
    if difference is None:
        return None
    return f"{difference.points:+.2f} ({difference.low:+.2f} to {difference.high:+.2f})"


def _time(value: float | None) -> str | None:
    return None if value is None else f"{plain(value)} ms"


def _more(value: float | None) -> str | None:
    return None if value is None else f"{value:+g} ms"


def _amount(value: Any, sign: str = "") -> str | None:
    return None if value is None else format(value, f"{sign}f")
