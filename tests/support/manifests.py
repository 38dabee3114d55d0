"""Reading what `deploy/` holds: Compose, Kubernetes and the variables in them."""

from __future__ import annotations

import re
import runpy
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.support.documentation import ROOT
from worker.web.health import health_app
from worker.web.reports import Webhook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from starlette.applications import Starlette

DEPLOY: Final = ROOT / "deploy"
KUBERNETES: Final = DEPLOY / "kubernetes"
GIVEN: Final = {
    "TARGET_USERNAME": "sandbox",
    "LEGACY_BASE_URL": "https://gateway.example",
    "LEGACY_USERNAME": "sms",
    "REPORT_BASE_URL": "https://sms.example",
}
"""What `compose.yaml` asks for."""
OF_OPENTELEMETRY: Final = re.compile(r"OTEL_EXPORTER_OTLP_(TRACES_|METRICS_)?ENDPOINT")
"""Variables of a worker that are no settings."""
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")
_TIMES: Final = {"s": 1, "m": 60, "h": 3600}


def compose() -> dict[str, Any]:
    """`compose.yaml`, its variables not filled in."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return found


def filled(text: str) -> str:
    """A text of Compose with its variables filled in, as Compose does it."""
    return _VARIABLE.sub(
        lambda found: GIVEN[found[1]] if found[2] != ":-" else GIVEN.get(found[1], found[3]), text
    )


def seconds(text: str) -> int:
    """A time of Compose, such as `90s`."""
    return int(text[:-1]) * _TIMES[text[-1]]


def documents(file: Path) -> list[dict[str, Any]]:
    """The documents in a YAML file."""
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def objects(*folders: str) -> list[dict[str, Any]]:
    """The Kubernetes objects in these folders, as written."""
    return [
        document
        for folder in folders
        for file in sorted((KUBERNETES / folder).glob("*.yaml"))
        if file.name != "kustomization.yaml"
        for document in documents(file)
    ]


def variables(file: Path) -> dict[str, str]:
    """The variables in a file of them."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def secrets_maker() -> Mapping[str, Any]:
    """The names in `make_secrets.py`, which is a program beside the package."""
    return runpy.run_path(str(DEPLOY / "compose" / "make_secrets.py"), run_name="make_secrets")


def make_secrets(folder: Path) -> Path:
    """Make all secret files of `compose.yaml`, those by hand too. Returns the folder."""
    maker = secrets_maker()
    folder.mkdir(mode=0o700)
    for name in maker["BY_HAND"]:
        (folder / name).write_text("by-hand\n", encoding="utf-8")
    assert maker["main"](folder) == 0
    return folder


def paths(app: Starlette) -> set[str]:
    """The paths that an application serves, the first step of each."""
    return {"/" + route.path.split("/")[1] for route in app.routes if hasattr(route, "path")}


def private_paths() -> set[str]:
    """What a worker serves on its private port."""
    return paths(health_app({}, lambda _: (b"", "")))


def webhook_paths() -> set[str]:
    """What a webhook serves."""
    nothing: Any = None
    return paths(Webhook(nothing, {}, nothing).app())


def every(node: object) -> Iterator[Mapping[str, Any]]:
    """Every mapping within a document."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from every(value)
    elif isinstance(node, list):
        for value in node:
            yield from every(value)
