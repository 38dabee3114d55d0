"""How `ctl health` and `ctl comparison` look.

Rules: both providers side by side, at 80 columns. A rate stands with its sample and its 95 %
interval; what is not known is `-`, and a line below says why. The report of a worker whose fields
are others than ours is shown as it came (`answer_parts`).
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
    """Figures of both providers, what is out of bounds, and what cannot be said."""
    found = _read(HealthMetric, reply)
    if not isinstance(found, HealthMetric):
        yield from answer_parts(reply)
        return
    yield _head(found)
    yield _side_by_side({name: dict(_figures(each)) for name, each in found.providers.items()})
    yield from _remarks(found.providers.items())


def comparison_parts(reply: ControlReply) -> Iterator[RenderableType]:
    """Both providers, the difference between them, and what the migration saves."""
    found = _read(ComparisonMetric, reply)
    if not isinstance(found, ComparisonMetric):
        yield from answer_parts(reply)
        return
    order = {name: found.providers[name] for name in (found.target, found.legacy)}
    columns = {name: dict(_compared(each)) for name, each in order.items()}
    yield _head(found)
    yield _side_by_side({**columns, "difference": dict(_differences(found.difference))})
    yield Text()
    yield from map(line, _savings(found))
    yield from _remarks(order.items())


def _read(model: type[Wire], reply: ControlReply) -> Wire | None:
    try:
        return model.model_validate(reply.data)
    except ValidationError:
        return None


def _head(found: HealthMetric | ComparisonMetric) -> Text:
    period = f"{found.since:%Y-%m-%d %H:%M:%S} to {found.until:%Y-%m-%d %H:%M:%S} UTC"
    return line(f"{period} ({plain(found.hours)} h)", "bold")


def _side_by_side(columns: dict[str, dict[str, Any]]) -> Table:
    found = table("", *columns)
    for name in dict.fromkeys(name for rows in columns.values() for name in rows):
        found.add_row(name, *(line(plain(rows.get(name))) for rows in columns.values()))
    return found


def _figures(found: ProviderHealth) -> Iterator[Row]:
    yield "role", found.role
    yield "attempts", found.attempts
    yield "accepted", found.accepted
    yield "refused", found.refused
    yield "wrong recipient", found.wrong_recipient
    yield "wrong for this provider", found.wrong_message
    yield "success rate", _rate(found.success_rate)
    yield "error rate", _rate(found.error_rate)
    for name, count in found.errors_by_class.model_dump().items():
        yield f"  {words(name)}", count
    yield "fallback rate", _rate(found.fallback_rate)
    yield from _times(found, _time)
    yield "delivery rate", _rate(found.delivery_rate)
    yield "segments", found.segments
    for currency, cost in found.cost.items():
        yield f"{currency} in all", f"{cost.total:f}"
        yield f"{currency} a message", _amount(cost.per_message)
        yield f"{currency} a delivered one", _amount(cost.per_delivered)
    yield "validation success", _rate(found.validation.success_rate)
    yield "validation delivery", _rate(found.validation.delivery_rate)


def _compared(found: ProviderHealth) -> Iterator[Row]:
    yield "accepted", found.accepted
    yield "success rate", _percent(found.success_rate)
    yield "error rate", _percent(found.error_rate)
    yield "delivery rate", _percent(found.delivery_rate)
    yield from _times(found, _time)
    for currency, cost in found.cost.items():
        yield f"{currency} a message", _amount(cost.per_message)
        yield f"{currency} a delivered one", _amount(cost.per_delivered)


def _differences(found: Differences) -> Iterator[Row]:
    yield "success rate", _points(found.success_rate)
    yield "error rate", _points(found.error_rate)
    yield "delivery rate", _points(found.delivery_rate)
    yield from _times(found, _more)
    for currency, cost in found.cost.items():
        yield f"{currency} a message", _amount(cost.per_message, "+")
        yield f"{currency} a delivered one", _amount(cost.per_delivered, "+")


def _times(
    found: ProviderHealth | Differences, shown: Callable[[float | None], str | None]
) -> Iterator[Row]:
    yield "response p50", shown(found.p50_ms)
    yield "response p95", shown(found.p95_ms)
    yield "response p99", shown(found.p99_ms)
    yield "response mean", shown(found.mean_ms)


def _savings(found: ComparisonMetric) -> Iterator[str]:
    saved = found.savings
    if saved is None:
        yield f"savings: not known: {found.savings_unknown}"
        return
    each = f"{_amount(saved.per_message, '+')} {saved.currency} a message"
    yield f"savings of {found.target} against {found.legacy}: {each}"
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


def _points(found: RateDifference | None) -> str | None:
    if found is None:
        return None
    return f"{found.points:+.2f} ({found.low:+.2f} to {found.high:+.2f})"


def _time(value: float | None) -> str | None:
    return None if value is None else f"{plain(value)} ms"


def _more(value: float | None) -> str | None:
    return None if value is None else f"{value:+g} ms"


def _amount(value: Any, sign: str = "") -> str | None:
    return None if value is None else format(value, f"{sign}f")
