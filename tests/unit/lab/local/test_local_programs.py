"""Which RabbitMQ the local stack runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from worker.lab.local.process import LocalError
from worker.lab.local.programs import VARIABLE, find_rabbitmq

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("rabbitmq-server", "rabbitmqctl", "epmd")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        program = tmp_path / name
        program.touch()
        program.chmod(0o700)
    return tmp_path


def test_all_programs_come_from_the_folder_that_is_named(folder: Path) -> None:
    found = find_rabbitmq({VARIABLE: str(folder)})
    assert (found.server, found.rabbitmqctl, found.epmd) == tuple(
        str(folder / name) for name in NAMES
    )


@pytest.mark.parametrize("missing", NAMES)
def test_a_folder_without_one_of_them_is_refused_by_name(folder: Path, missing: str) -> None:
    (folder / missing).chmod(0o600)
    with pytest.raises(LocalError, match=f"{VARIABLE}: expected .* which has no {missing}$"):
        find_rabbitmq({VARIABLE: str(folder)})


@pytest.mark.parametrize("given", [{}, {VARIABLE: ""}])
def test_without_a_folder_it_is_the_one_of_this_machine(given: dict[str, str]) -> None:
    found = find_rabbitmq(given)
    assert found.server.endswith("/rabbitmq-server")
    assert found.rabbitmqctl == found.server.replace("rabbitmq-server", "rabbitmqctl")
    assert found.epmd.endswith("/epmd")
