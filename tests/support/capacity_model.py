"""How many messages a second a deployment carries, from measured constants; pure.

The page `deploy/CAPACITY.md` is made by `page_tables()`. `capacity_simulation` checks the model.

Rules:
- Every bound is a rate in messages a second; the least one counts, and has a name.
- A plan uses `USE` of a bound at most: near a bound, messages wait.
- Constants were measured on one small machine. Nothing here knows yours: measure again
  (`tests/bench/capacity_costs.py`, `tests/bench/store_growth.py`) and put your figures in.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

from worker.domain.documented import markdown_table

USE: Final = 0.7
"""Part of a bound that a plan uses."""
LEAST_REPLICAS: Final = 2
"""So that one may be away."""
DAY_S: Final = 86_400


@dataclass(frozen=True)
class Costs:
    """What a message takes: CPU milliseconds by process, waits in seconds, bytes of the store."""

    worker_ms: float
    webhook_ms: float
    broker_ms: float
    store_ms: float
    waits_s: float
    """What a message waits within a worker beside the call: two durable writes, one confirm."""
    record_disk: float
    record_indexes: float
    report_disk: float
    report_indexes: float


MEASURED: Final = Costs(
    worker_ms=4.2,
    webhook_ms=0.8,
    broker_ms=1.0,
    store_ms=2.7,
    waits_s=0.07,
    record_disk=685,
    record_indexes=519,
    report_disk=227,
    report_indexes=381,
)
"""Two shared cores under much other load (the quickest of four runs of 3,000 to 4,000 messages),
RabbitMQ 3.10.8, MongoDB 6.0.5, Python 3.11. The waits are from 16 messages in hand at a provider of
50 ms: 130 to 140 a second."""


@dataclass(frozen=True)
class Plan:
    """A deployment, and how long a provider takes for a call."""

    replicas: int
    latency_s: float
    max_in_flight: int = 64
    rate_per_s: float = 500.0
    prefetch: int = 96
    broker_cores: float = 2.0
    store_cores: float = 2.0

    @property
    def account_permits(self) -> int:
        """Calls at once of one replica, as `worker.providers.limiter` shares the account's limit.

        A quarter of them is left to the transactional lane.
        """
        limit = max(1, self.max_in_flight // self.replicas)
        return limit - min(limit - 1, max(1, limit // 4))

    @property
    def permits(self) -> int:
        """The same; a quarter of the messages in hand is left to the other provider."""
        return min(self.account_permits, self._in_hand)

    @property
    def _in_hand(self) -> int:
        return max(1, self.prefetch - max(1, self.prefetch // 4))

    def held_by_prefetch(self, costs: Costs) -> float:
        """Most messages a second of one replica by what it may have in hand."""
        whole_s = self.latency_s + costs.waits_s + costs.worker_ms / 1_000
        return min(self.prefetch / whole_s, self._in_hand / self.permit_held_s(costs))

    def permit_held_s(self, costs: Costs) -> float:
        """How long a call holds its permit: from before the intent's write to the answer."""
        return self.latency_s + costs.waits_s / 2


def bounds(plan: Plan, costs: Costs = MEASURED) -> dict[str, float]:
    """Most messages a second by what bounds them, on the bulk lane, all to one provider."""
    return {
        "CPU of the workers": plan.replicas * 1_000 / costs.worker_ms,
        "`SMS_PREFETCH_BULK`": plan.replicas * plan.held_by_prefetch(costs),
        "`MAX_IN_FLIGHT`": plan.replicas * plan.account_permits / plan.permit_held_s(costs),
        "`RATE_PER_S`": plan.rate_per_s,
        "CPU of the broker": plan.broker_cores * 1_000 / costs.broker_ms,
        "CPU of the database": plan.store_cores * 1_000 / costs.store_ms,
    }


def most_per_s(plan: Plan, costs: Costs = MEASURED) -> tuple[float, str]:
    """Messages a second that a plan carries at most, and what bounds them."""
    name, rate = min(bounds(plan, costs).items(), key=lambda bound: bound[1])
    return rate, name


def plan_for(per_s: float, latency_s: float, costs: Costs = MEASURED) -> Plan:
    """The smallest plan that carries so many messages a second with room to spare."""
    needed = per_s / USE
    replicas = max(LEAST_REPLICAS, ceil(needed * costs.worker_ms / 1_000))
    each = needed / replicas
    calls = _with_a_quarter_left(each * (latency_s + costs.waits_s / 2))
    in_hand = ceil(each * (latency_s + costs.waits_s + costs.worker_ms / 1_000))
    return Plan(
        replicas=replicas,
        latency_s=latency_s,
        max_in_flight=max(Plan.max_in_flight, calls * replicas),
        rate_per_s=max(Plan.rate_per_s, ceil(needed)),
        prefetch=max(Plan.prefetch, calls, in_hand),
        broker_cores=max(Plan.broker_cores, ceil(needed * costs.broker_ms / 1_000)),
        store_cores=max(Plan.store_cores, ceil(needed * costs.store_ms / 1_000)),
    )


def _with_a_quarter_left(used: float) -> int:
    return ceil(ceil(used) * 4 / 3) + 1


def store_bytes(messages: float, costs: Costs = MEASURED) -> float:
    """Bytes on disk of so many messages, each with one delivery report."""
    record = costs.record_disk + costs.record_indexes
    return messages * (record + costs.report_disk + costs.report_indexes)


# --- the page --------------------------------------------------------------------------------

LATENCIES_S: Final = (0.05, 0.25, 1.0)
RATES: Final = (10, 100, 300, 1_000, 3_000, 10_000)
PLANNED_LATENCY_S: Final = 0.25
KEPT_DAYS: Final = 32
"""Records are kept 30 days after the report deadline of two."""


def page_tables() -> dict[str, str]:
    """The tables of `deploy/CAPACITY.md`, by name."""
    return {
        "constants": _constants(MEASURED),
        "settings": _settings(),
        "plans": _plans(),
        "store": _store(MEASURED),
    }


def _constants(costs: Costs) -> str:
    rows = (
        ("worker", f"{costs.worker_ms:g} ms of CPU", _per_core(costs.worker_ms)),
        ("webhook", f"{costs.webhook_ms:g} ms of CPU", _per_core(costs.webhook_ms)),
        ("RabbitMQ", f"{costs.broker_ms:g} ms of CPU", _per_core(costs.broker_ms)),
        ("MongoDB", f"{costs.store_ms:g} ms of CPU", _per_core(costs.store_ms)),
        ("waits within a worker", f"{costs.waits_s * 1_000:g} ms", "-"),
    )
    return markdown_table(("process", "a message takes", "messages a second and core"), rows)


def _per_core(cost_ms: float) -> str:
    return f"{1_000 / cost_ms:,.0f}"


def _settings() -> str:
    rows = []
    for latency_s in LATENCIES_S:
        usual, name = most_per_s(Plan(LEAST_REPLICAS, latency_s))
        alone, why = most_per_s(Plan(1, latency_s, max_in_flight=10**6, rate_per_s=1e6))
        call = f"{latency_s * 1_000:g} ms"
        rows.append((call, f"{usual:,.0f}", name, f"{alone:,.0f}", why))
    head = ("a call takes", "two workers, defaults", "bound by", "one worker alone", "bound by")
    return markdown_table(head, rows)


def _plans() -> str:
    rows = []
    for rate in RATES:
        plan = plan_for(rate, PLANNED_LATENCY_S)
        webhooks = max(LEAST_REPLICAS, ceil(rate / USE * MEASURED.webhook_ms / 1_000))
        sizes = (plan.replicas, webhooks, plan.prefetch, plan.max_in_flight, plan.rate_per_s)
        shown = [f"{each:,.0f}" for each in (rate, *sizes, plan.broker_cores, plan.store_cores)]
        rows.append((*shown, _size(store_bytes(rate * DAY_S * KEPT_DAYS))))
    head = (
        "messages a second", "workers", "webhooks", "`SMS_PREFETCH_BULK`", "`MAX_IN_FLIGHT`",
        "`RATE_PER_S`", "cores of the broker", "cores of the database",
        f"store after {KEPT_DAYS} days",
    )  # fmt: skip
    return markdown_table(head, rows)


def _store(costs: Costs) -> str:
    disk = (costs.record_disk, costs.report_disk)
    inner = (costs.record_indexes, costs.report_indexes)
    rows = [
        (what, f"{on_disk:g} B", f"{in_indexes:g} B", _size(1e6 * (on_disk + in_indexes)))
        for what, on_disk, in_indexes in (
            ("record of a message", disk[0], inner[0]),
            ("delivery report", disk[1], inner[1]),
            ("both", sum(disk), sum(inner)),
        )
    ]
    return markdown_table(("what", "on disk", "in indexes", "a million"), rows)


def _size(count: float) -> str:
    return f"{count / 1e12:,.1f} TB" if count >= 1e12 else f"{count / 1e9:,.1f} GB"
