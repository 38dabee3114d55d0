"""What a replica is called, and what it says of its process."""

from __future__ import annotations

import socket
from importlib import metadata
from typing import TYPE_CHECKING

from tests.support.fakes import EPOCH
from worker.app.replica import process_of, replica_id
from worker.domain.migration.replicas import Process

if TYPE_CHECKING:
    import pytest


def test_an_id_begins_with_its_name_and_is_new_at_each_start() -> None:
    first, second = replica_id("pod 7"), replica_id("pod 7")
    assert first != second
    assert {first[:6], second[:6]} == {"pod-7-"}


def test_a_process_says_its_version_its_host_and_its_start() -> None:
    version = metadata.version("sms-migration-worker")
    assert process_of(EPOCH) == Process(version, socket.gethostname(), EPOCH)


def test_a_program_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> str:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", missing)
    assert process_of(EPOCH) == Process(None, socket.gethostname(), EPOCH)
