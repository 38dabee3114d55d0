"""A real Prometheus on loopback, with the configuration of `deploy/prometheus`."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest
import yaml

from worker.lab.local.port import HOST, Port
from worker.lab.local.process import Child, answers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

DEPLOYED: Final = Path(__file__).parents[2] / "deploy/prometheus"
MISSING: Final = "no Prometheus here: apt-get install --no-install-recommends prometheus"
EVERY: Final = "1s"
_WITHIN_S: Final = 60.0


@dataclass(frozen=True)
class Prometheus:
    """A running server.

    Attributes:
        url: its address.
        http: to ask it with.
    """

    url: str
    http: aiohttp.ClientSession

    async def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API; an error of a query fails the test."""
        async with self.http.get(f"{self.url}/api/v1/{path}", params=parameters) as answer:
            body = await answer.json()
        assert body["status"] == "success", body
        return body["data"]

    async def values(self, query: str) -> list[dict[str, Any]]:
        """What a query returns now, a series each."""
        data = await self.ask("query", query=query)
        found: list[dict[str, Any]] = data["result"]
        return found


@asynccontextmanager
async def scraping(directory: Path, targets: Mapping[str, list[str]]) -> AsyncIterator[Prometheus]:
    """Start a server that scrapes each job of the configuration at these hosts and ports."""
    program, port = shutil.which("prometheus"), Port()
    if program is None:
        pytest.skip(MISSING)
    command = (
        program,
        f"--config.file={_written(directory, targets)}",
        f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address={HOST}:{port}",
    )
    log = directory / "prometheus.log"
    server = Child("prometheus", command, environment={}, log=log, directory=directory)
    url = f"http://{HOST}:{port}"
    try:
        await server.start()
        await server.ready(partial(answers, f"{url}/-/ready"), _WITHIN_S)
        timeout = aiohttp.ClientTimeout(total=_WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            yield Prometheus(url, http)
    finally:
        await server.stop()


def _written(directory: Path, targets: Mapping[str, list[str]]) -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(_configuration(targets)))
    return file


def _configuration(targets: Mapping[str, list[str]]) -> dict[str, Any]:
    """The deployed one, with other hosts and a shorter interval."""
    read: dict[str, Any] = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in read["scrape_configs"]}
    assert set(targets) <= set(jobs)
    for name, hosts in targets.items():
        jobs[name].pop("dns_sd_configs", None)
        jobs[name]["static_configs"] = [{"targets": hosts}]
    return {
        "global": {"scrape_interval": EVERY, "evaluation_interval": EVERY},
        "rule_files": [str(DEPLOYED / name) for name in read["rule_files"]],
        "scrape_configs": [jobs[name] for name in targets],
    }
