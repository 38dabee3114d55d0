"""A kill or a SIGTERM at each of the dangerous points, with real processes and servers.

The full matrix has every point (`matrix`). These are the windows that the design is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.torture.processes.cell import Cell
from tests.torture.processes.matrix import Matrix, worlds
from tests.torture.processes.results import Results

if TYPE_CHECKING:
    from pathlib import Path

WORLDS: Final = 8
DANGEROUS: Final = (
    # Between the intent and the request.
    "taken/provider.africastalking.send.before@sms.send.transactional:1:kill",
    "taken/provider.legacy.send.before@sms.send.bulk:1:kill",
    # Between the request and the record: its answer never came, or came and was not stored.
    "taken/provider.africastalking.send.sent@sms.send.bulk:1:kill",
    "taken/provider.legacy.send.applied@sms.send.transactional:1:kill",
    "closed/database.messages.bulk_write.before:1:kill",
    # Between the record and its events.
    "taken/broker.publish.events.before@sms.send.transactional:1:kill",
    "refused/broker.publish.dead.before@sms.send.bulk:1:kill",
    # Between the events and the acknowledgement.
    "taken/broker.ack.before@sms.send.bulk:1:kill",
    # Between `waiting` and its copy, and between the copy and the acknowledgement.
    "unsent/broker.publish.retry.before@sms.send.bulk:1:kill",
    "unsent/broker.publish.retry.applied@sms.send.transactional:1:kill",
    # A command: before and after its entry, before its answer.
    "steered/database.control_log.insert_one.before@sms.control.command:3:kill",
    "steered/database.control_log.insert_one.applied@sms.control.command:2:kill",
    "steered/broker.publish.replies.before@sms.control.command:3:kill",
    # A report: in the webhook, stored, applied, told.
    "webhook/broker.publish.reports.applied:1:kill",
    "reported/database.reports.insert_one.applied@sms.reports:1:kill",
    "reported/broker.publish.events.before@sms.reports:1:kill",
    # The end of a process: in the middle of a call, of a crowd, and while a call hangs.
    "closed/provider.legacy.send.sent@sms.send.transactional:1:term",
    "crowded/after:0.40:term",
    "taken/provider.legacy.send.sent@sms.send.bulk:1:hang",
    "taken/database.messages.bulk_write.before:1:hang",
)


async def test_no_fault_at_a_dangerous_point_breaks_a_promise(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    cells = [Cell.read(name) for name in DANGEROUS]
    async with worlds(WORLDS, tmp_path) as built:
        await Matrix(built, results).run(cells)
    assert results.broken == {}
    assert results.held == set(DANGEROUS)
