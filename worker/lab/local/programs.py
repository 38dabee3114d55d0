"""Finds the programs of RabbitMQ on this machine.

Rules: server, `rabbitmqctl` and Erlang's port mapper are of one installation. `LAB_RABBITMQ` names
a folder that holds all three under these names. Without it they are where packages put them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from worker.lab.local.process import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: Final = "LAB_RABBITMQ"
"""Names the folder of another RabbitMQ."""
_FOLDERS: Final = ("/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/opt/rabbitmq/sbin")
_MISSING: Final = (
    "RabbitMQ is not installed: run `make setup`, or `sudo apt-get install rabbitmq-server`, "
    "or give the address of one in AMQP_URL"
)


@dataclass(frozen=True, slots=True)
class RabbitMQ:
    """Paths of the programs of one installation."""

    server: str
    rabbitmqctl: str
    epmd: str


def find_rabbitmq(environment: Mapping[str, str]) -> RabbitMQ:
    """Find the programs that the environment names, or those of this machine.

    Raises:
        LocalError: there are none; the message says what is expected.
    """
    if given := environment.get(VARIABLE):
        return _in_folder(Path(given))
    for folder in map(Path, _FOLDERS):
        if os.access(folder / "rabbitmq-server", os.X_OK):
            epmd = _find_epmd(environment.get("PATH", ""))
            return RabbitMQ(str(folder / "rabbitmq-server"), str(folder / "rabbitmqctl"), epmd)
    raise LocalError(_MISSING)


def _in_folder(folder: Path) -> RabbitMQ:
    paths = [folder.absolute() / name for name in ("rabbitmq-server", "rabbitmqctl", "epmd")]
    for path in paths:
        if not os.access(path, os.X_OK):
            raise LocalError(
                f"{VARIABLE}: expected a folder with the programs rabbitmq-server, rabbitmqctl "
                f"and epmd; got {folder}, which has no {path.name}"
            )
    return RabbitMQ(*map(str, paths))


def _find_epmd(path: str) -> str:
    found = shutil.which("epmd", path=path + ":/usr/bin:/usr/local/bin")
    if found is None:
        raise LocalError(_MISSING)
    return found
