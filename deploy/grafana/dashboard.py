"""Writes the dashboard: `dashboard.py > dashboards/sms-worker.json`, or `make dashboard`.

Rules: standard library only. A panel is one entry of `SECTIONS`: to add one, add a line and write
the file anew. Every query must return data from a stack that has sent messages, or be in
`EMPTY_WHILE_HEALTHY`; a test asks a real Prometheus. Places follow from the order.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

WIDTH = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
FAILED = 'sms_outcome=~"not_sent_provider|not_sent_account|unknown|skipped"'
ACCEPTED = 'sms_outcome="accepted"'


@dataclass(frozen=True)
class Panel:
    """One panel: a title, what it shows, and (query, legend) pairs."""

    title: str
    meaning: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    text: str = "auto"
    """Of a single number: `name` shows the legend instead."""

    @property
    def height(self) -> int:
        """In rows of the grid."""
        return 4 if self.kind == "stat" else 8


def number(title: str, meaning: str, query: str, unit: str = "short", **more: Any) -> Panel:
    """A panel with the present value alone."""
    legend = more.pop("legend", "")
    return Panel(title, meaning, ((query, legend),), unit, "stat", width=4, **more)


def curve(
    title: str, meaning: str, query: str, legend: str, unit: str = "short", **more: Any
) -> Panel:
    """A panel with one query over time."""
    return Panel(title, meaning, ((query, legend),), unit, **more)


def over_time(by: str, what: str) -> str:
    """Rate a second of a counter, summed by labels."""
    return f"sum by ({by}) (rate({what}[$__rate_interval]))"


def in_an_hour(by: str, what: str) -> str:
    """How much a counter grew in an hour, summed by labels."""
    return f"sum by ({by}) (increase({what}[1h]))"


def waiting(queues: str) -> str:
    """Messages that wait in queues, by queue; `queues` is a regular expression."""
    return f'sum by (queue) (rabbitmq_detailed_queue_messages_ready{{queue=~"{queues}"}})'


def quantile(share: float, by: str, times: str) -> str:
    """A quantile of times, by label."""
    return f"histogram_quantile({share}, {over_time(f'{by}, le', f'{times}_bucket')})"


_CALLS = "sms_provider", "sms_attempt_duration_seconds"
_QUEUES = "messaging_destination_name", "sms_queue_wait_seconds"


_ACCEPTED = over_time("sms_provider", f"sms_attempts_total{{{ACCEPTED}}}")
_FAILED = over_time("sms_provider", f"sms_attempts_total{{{FAILED}}}")
_ASSIGNED = over_time("sms_provider", "sms_migration_assigned_total")
_DELIVERED = in_an_hour("sms_provider", 'sms_deliveries_total{sms_verdict="delivered"}')
_JUDGED = in_an_hour("sms_provider", "sms_deliveries_total")

SECTIONS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Now",
        (
            number("Workers", "Workers that answer.", 'sum(up{job="sms-worker"})'),
            number(
                "Phase",
                "The phase in force; two names: workers differ.",
                "count by (sms_phase) (sms_migration_phase == 1)",
                text="name",
                legend="{{sms_phase}}",
            ),
            number(
                "Share configured",
                "Share of the target in force.",
                "max(sms_migration_percentage)",
                "percent",
            ),
            number("Consuming", "Workers that take from every lane.", "sum(sms_consuming)"),
            number(
                "Broker, store", "0: some worker has lost it.", "min(sms_broker_up * sms_store_up)"
            ),
            number(
                "Troubles",
                "Open troubles, each counted once.",
                "count(count by (sms_code, sms_provider) (sms_alerts_open)) or vector(0)",
            ),
            curve(
                "Troubles by code",
                "What workers report; the runbook has a section for each code.",
                "max by (sms_code, sms_severity, sms_provider) (sms_alerts_open)",
                "{{sms_severity}}: {{sms_code}} {{sms_provider}}",
                width=WIDTH,
            ),
        ),
    ),
    (
        "Messages",
        (
            curve(
                "Accepted",
                "Messages a second that each provider took.",
                _ACCEPTED,
                "{{sms_provider}}",
                "reqps",
            ),
            Panel(
                "Share realised",
                "First attempts by the provider assigned, and the configured share of the target.",
                (
                    (f"100 * {_ASSIGNED} / scalar(sum({_ASSIGNED}))", "{{sms_provider}}"),
                    ("max(sms_migration_percentage)", "configured"),
                ),
                "percent",
            ),
            curve(
                "Success rate",
                "Accepted of accepted and failed; refusals of a message or recipient do not count.",
                f"100 * {_ACCEPTED} / ({_ACCEPTED} + {_FAILED})",
                "{{sms_provider}}",
                "percent",
            ),
            curve(
                "Not accepted",
                "Attempts a second that ended otherwise, by outcome.",
                over_time(
                    "sms_provider, sms_outcome",
                    'sms_attempts_total{sms_outcome!="accepted"}',
                ),
                "{{sms_provider}} {{sms_outcome}}",
                "reqps",
            ),
            Panel(
                "Response time",
                "Of accepted calls: median and 95 %.",
                (
                    (quantile(0.5, *_CALLS), "{{sms_provider}} median"),
                    (quantile(0.95, *_CALLS), "{{sms_provider}} 95 %"),
                ),
                "s",
            ),
            curve(
                "Delivered",
                "Share with a report of delivery, at the delivery age.",
                f"100 * {_DELIVERED} / {_JUDGED}",
                "{{sms_provider}}",
                "percent",
            ),
            curve(
                "Time in queue",
                "Until a worker takes a message for the first time: 95 %, by queue.",
                quantile(0.95, *_QUEUES),
                "{{messaging_destination_name}}",
                "s",
            ),
            curve(
                "Not settled",
                "Messages in a call, between two rounds, or possibly sent; over all workers.",
                "max by (sms_state) (sms_records_open)",
                "{{sms_state}}",
            ),
            curve(
                "Oldest not settled",
                "Its age, by the same states.",
                "max by (sms_state) (sms_records_oldest_seconds)",
                "{{sms_state}}",
                "s",
            ),
            curve(
                "Evidence",
                "Against the target, in per cent of the level at which it alarms.",
                (
                    "100 * max by (sms_signal, sms_detector) (sms_evidence)"
                    " / max by (sms_signal, sms_detector) (sms_evidence_level)"
                ),
                "{{sms_signal}} {{sms_detector}}",
                "percent",
            ),
            curve(
                "Given up",
                "Messages an hour that went to a queue for people, by cause.",
                in_an_hour("sms_cause", "sms_dead_letters_total"),
                "{{sms_cause}}",
            ),
            curve(
                "Fallbacks",
                "Attempts a second after another provider surely had not sent.",
                over_time("sms_provider", "sms_fallbacks_total"),
                "{{sms_provider}}",
                "reqps",
            ),
            curve(
                "Segments",
                "Segments a second of accepted messages.",
                over_time("sms_provider", "sms_segments_total"),
                "{{sms_provider}}",
                "reqps",
            ),
            curve(
                "Cost an hour",
                "Of accepted messages whose price is known.",
                in_an_hour("sms_provider, sms_currency", "sms_cost_total"),
                "{{sms_provider}} {{sms_currency}}",
            ),
        ),
    ),
    (
        "Workers",
        (
            curve(
                "In hand",
                "Deliveries that a worker has not settled yet.",
                "sms_in_hand",
                "{{instance}}",
            ),
            curve(
                "Oldest in hand",
                "For how long a worker has had it.",
                ("max by (instance, messaging_destination_name) (sms_in_hand_oldest_seconds)"),
                "{{instance}} {{messaging_destination_name}}",
                "s",
            ),
            curve(
                "Tasks",
                "Of a worker, not ended; what only grows is a leak.",
                "sms_tasks",
                "{{instance}}",
            ),
            Panel(
                "Calls",
                "Under way, and waiting because the limits of a provider are reached.",
                (
                    ("sum by (sms_provider) (sms_calls)", "{{sms_provider}}"),
                    ("sum by (sms_provider) (sms_calls_waiting)", "{{sms_provider}} waiting"),
                ),
            ),
            curve(
                "Leases taken over",
                "Messages an hour of workers that died, by lane.",
                in_an_hour("sms_lane", "sms_lease_takeovers_total"),
                "{{sms_lane}}",
            ),
            curve(
                "Breakers",
                "Workers by the state of their breaker for a provider.",
                "sum by (sms_provider, sms_state) (sms_breaker_state)",
                "{{sms_provider}} {{sms_state}}",
            ),
            curve(
                "Version of the state",
                "One line each; they meet within a second.",
                "sms_state_version",
                "{{instance}}",
            ),
            curve(
                "CPU",
                "Cores in use.",
                'rate(process_cpu_seconds_total{job="sms-worker"}[$__rate_interval])',
                "{{instance}}",
            ),
            curve(
                "Memory",
                "Resident memory.",
                'process_resident_memory_bytes{job="sms-worker"}',
                "{{instance}}",
                "bytes",
            ),
        ),
    ),
    (
        "Webhook",
        (
            curve(
                "Callbacks",
                "Callbacks a second by provider and answer; `(unknown)`: no provider of ours.",
                over_time(
                    "sms_provider, http_response_status_code",
                    "http_server_request_duration_seconds_count",
                ),
                "{{sms_provider}} {{http_response_status_code}}",
                "reqps",
            ),
            curve(
                "Reports",
                "Reports a second that the broker confirmed.",
                over_time("sms_provider", "sms_reports_total"),
                "{{sms_provider}}",
                "reqps",
            ),
            curve(
                "Reports that wait",
                "For the broker's confirm.",
                "sms_reports_unconfirmed",
                "{{instance}}",
            ),
        ),
    ),
    (
        "Broker",
        (
            curve(
                "Waiting in the lanes",
                "Messages that no worker has taken yet.",
                waiting("sms[.]send[.].*"),
                "{{queue}}",
            ),
            curve(
                "Waiting to be tried again",
                "Messages by retry tier.",
                waiting("sms[.]retry[.].*"),
                "{{queue}}",
            ),
            curve(
                "Left over",
                "Messages nobody processes any more, and reports that wait.",
                waiting("sms[.](dead|lost|reports|unrouted[.].*)"),
                "{{queue}}",
            ),
        ),
    ),
)
EMPTY_WHILE_HEALTHY = frozenset({"Troubles by code"})
"""Panels that show nothing as long as nothing is wrong."""


def panels() -> list[Panel]:
    """Every panel, without its section."""
    return [panel for _, entries in SECTIONS for panel in entries]


def _shown(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + i),
            "datasource": DATASOURCE,
            "expr": query,
            "legendFormat": legend,
        }
        for i, (query, legend) in enumerate(panel.queries)
    ]
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.unit == "percent":
        defaults |= {"min": 0, "max": 100}
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }
    if panel.kind == "stat":
        made["options"] = {"textMode": panel.text, "reduceOptions": {"calcs": ["lastNotNull"]}}
    return made


def _placed() -> list[dict[str, Any]]:
    """Panels from left to right, a new line where one does not fit."""
    placed: list[dict[str, Any]] = []
    y = 0
    for section, entries in SECTIONS:
        grid = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        heading = {"type": "row", "title": section, "collapsed": False, "panels": []}
        placed.append({"id": len(placed) + 1, "gridPos": grid, **heading})
        x, y, height = 0, y + 1, 0
        for panel in entries:
            if x + panel.width > WIDTH:
                x, y, height = 0, y + height, 0
            placed.append(_shown(panel, len(placed) + 1, x, y))
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return placed


def dashboard() -> dict[str, Any]:
    """The whole document."""
    datasource = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    version = {
        "name": "State changes",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "blue",
        "expr": "changes(max(sms_state_version)[1m:]) > 0",
        "titleFormat": "The state changed",
    }
    return {
        "uid": "sms-worker",
        "title": "SMS migration",
        "tags": ["sms"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [datasource]},
        "annotations": {"list": [version]},
        "panels": _placed(),
    }


if __name__ == "__main__":
    json.dump(dashboard(), sys.stdout, indent=2)
    sys.stdout.write("\n")
