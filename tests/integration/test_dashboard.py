"""Every query of the dashboard and every rule, asked of a Prometheus that scrapes a real system."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.integration.conftest import GivenBroker
from tests.integration.servers import empty
from tests.support.prometheus_server import Prometheus, scraping
from tests.support.recipients import number_for
from tests.support.waiting import until
from tests.support.whole_system import PROVIDERS, System
from worker.domain.migration.phases import Phase
from worker.lab.local.parts import PRIVATE_WEBHOOK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import ModuleType

    from worker.lab.local.broker import Broker

FOLDER: Final = Path(__file__).parents[2] / "deploy/grafana"
FILE: Final = FOLDER / "dashboards/sms-worker.json"
WITHIN_S: Final = 90.0
OF_GRAFANA: Final = {"$__rate_interval": "10m"}
"""What Grafana puts into a query before it asks."""


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dashboard", FOLDER / "dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["dashboard"] = module  # its dataclass looks for its module
    spec.loader.exec_module(module)
    return module


DASHBOARD: Final = _script()
SHOWN: Final = json.loads(FILE.read_text(encoding="utf-8"))
QUERIES: Final = [
    (panel["title"], target["expr"])
    for panel in SHOWN["panels"]
    for target in panel.get("targets", ())
]


def asked(query: str) -> str:
    """A query as Grafana sends it."""
    for name, value in OF_GRAFANA.items():
        query = query.replace(name, value)
    assert "$" not in query
    return query


@pytest.fixture(scope="module")
async def prometheus(
    broker: Broker | GivenBroker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    """It scrapes a worker that has sent by both providers, and the broker."""
    if isinstance(broker, GivenBroker):
        pytest.skip("the metrics of somebody else's broker are not at hand")
    directory = tmp_path_factory.mktemp("dashboard")
    await empty(broker.urls["worker"])  # what other tests left there would be sent
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("MONGO_URL", raising=False)
        environment.setenv("AMQP_URL", broker.urls["worker"])
        for user, url in broker.urls.items():
            environment.setenv(f"AMQP_URL_{user.upper()}", url)
        profile = {"SMS_DELIVERY_AGE_S": "1"}
        async with System.running(directory / "stack", profile, replicas=1) as system:
            worker = system.stack.http["replica-1"].removeprefix("http://")
            webhook = system.stack.http[PRIVATE_WEBHOOK].removeprefix("http://")
            targets = {
                "sms-worker": [worker],
                "sms-webhook": [webhook],
                "rabbitmq": [broker.metrics or ""],
            }
            async with scraping(directory / "prometheus", targets) as server:
                await send_by_both(system, server)
                yield server
            await system.events.remove()


async def send_by_both(system: System, prometheus: Prometheus) -> None:
    """Messages by each provider, to their delivery; each is seen after what was there before.

    A counter must be seen twice to grow, and a cost is first seen with the first message.
    """
    await system.put(Phase.GRADUAL_MIGRATION, 50)
    for seen in ("sms_attempts_total", "sms_cost_total"):
        await until(lambda query=seen: prometheus.values(query), WITHIN_S)
        for provider in PROVIDERS:
            sent = await system.send(f"{provider} after {seen}", to=number_for(provider))
            await system.told(sent.id, "sms.delivered", WITHIN_S)


def test_the_file_is_what_the_script_writes() -> None:
    assert DASHBOARD.dashboard() == SHOWN, "stale: run `make dashboard`"


def test_each_panel_has_a_title_of_its_own_and_a_meaning() -> None:
    panels = DASHBOARD.panels()
    assert len({panel.title for panel in panels}) == len(panels)
    assert all(panel.meaning.endswith(".") and panel.queries for panel in panels)
    assert {panel.title for panel in panels} >= DASHBOARD.EMPTY_WHILE_HEALTHY


def test_panels_stand_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in SHOWN["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= DASHBOARD.WIDTH
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(("title", "query"), QUERIES)
async def test_each_query_returns_data(prometheus: Prometheus, title: str, query: str) -> None:
    if title in DASHBOARD.EMPTY_WHILE_HEALTHY:
        assert await prometheus.values(asked(query)) == []
        return

    async def numbers() -> bool:
        values = [each["value"][1] for each in await prometheus.values(asked(query))]
        return any(value != "NaN" for value in values)

    await until(numbers, WITHIN_S, lambda: f"no data: {asked(query)}")


async def test_the_marks_of_changes_can_be_asked_for(prometheus: Prometheus) -> None:
    for mark in SHOWN["annotations"]["list"]:
        await prometheus.values(asked(mark["expr"]))


async def test_each_rule_is_evaluated_and_none_fires_on_a_healthy_system(
    prometheus: Prometheus,
) -> None:
    async def rules() -> list[dict[str, Any]]:
        groups = (await prometheus.ask("rules"))["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def evaluated() -> bool:
        return all(rule["health"] == "ok" for rule in await rules())

    await until(evaluated, WITHIN_S)
    assert [rule["name"] for rule in await rules() if rule.get("state") == "firing"] == []


def test_grafana_finds_the_dashboard_and_its_data_source() -> None:
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/sms-worker.yml").read_text())[
        "providers"
    ]
    (source,) = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert Path(provider["options"]["path"]).name == FILE.parent.name
    (variable,) = SHOWN["templating"]["list"]
    assert (source["type"], variable["type"]) == (variable["query"], "datasource")
