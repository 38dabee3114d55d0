"""What the stores write today is kept in tests/contracts/stored, and kept documents are used.

Where a field was added or changed, the first test fails. Then keep what is written now as the
documents of a new version, and leave the old ones as they are:

    KEEP_STORED=2 python -m pytest tests/integration/test_stored_today.py
"""

from __future__ import annotations

import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bson import json_util

from tests.support.stored_samples import AT
from tests.support.stored_writers import Clock, write_all
from worker.store.reports import ReportStore
from worker.store.slots import SlotStore
from worker.store.suppressions import SuppressionStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.store.client import Database

KEPT = Path(__file__).parents[1] / "contracts" / "stored"
OPTIONS = json_util.JSONOptions(json_mode=json_util.JSONMode.RELAXED, tz_aware=True)
Document = dict[str, Any]


def load(path: Path) -> list[Document]:
    found: list[Document] = json_util.loads(path.read_text(), json_options=OPTIONS)
    return found


def shape(value: Any, name: str = "") -> Iterator[str]:
    """Every path in a document, with the type of what is there."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from shape(each, f"{name}.{key}")
    elif isinstance(value, list):
        for each in value:
            yield from shape(each, f"{name}[]")
    else:
        yield f"{name}: {type(value).__name__}"


def shapes(documents: list[Document]) -> set[str]:
    as_kept = json_util.loads(json_util.dumps(documents, json_options=OPTIONS))
    return {path for each in as_kept for path in shape(each)}


async def test_the_newest_kept_documents_have_every_field_that_is_written_today(
    database_empty: Database,
) -> None:
    await write_all(database_empty)
    for kind in sorted(await database_empty.db.list_collection_names()):
        written = [each async for each in database_empty[kind].find({}).sort("_id")]
        files = sorted(KEPT.glob(f"*/{kind}.json"), key=lambda path: int(path.parent.name))
        missing = shapes(written) ^ shapes(load(files[-1]) if files else [])
        if missing and (version := os.environ.get("KEEP_STORED")):
            _keep(KEPT / version / f"{kind}.json", written)
            continue
        assert not missing, f"{kind}: not kept as it is written today; see the head of this file"


def _keep(path: Path, documents: list[Document]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json_util.dumps(documents, json_options=OPTIONS, indent=1) + "\n")


@pytest.mark.parametrize("version", sorted(path.name for path in KEPT.iterdir()))
async def test_kept_sums_and_opt_outs_of_a_version_count(
    database_empty: Database, version: str
) -> None:
    for kind in ("slots", "suppressions"):
        for path in KEPT.glob(f"{version}/{kind}.json"):
            await database_empty[kind].insert_many(
                [{**each, "addedLater": {"deep": [1]}} for each in load(path)]
            )
    sums = await SlotStore(database_empty, "new", retention_days=30).sum(
        AT, AT + timedelta(seconds=10)
    )
    opted_out = SuppressionStore(database_empty["suppressions"], lambda _: None, Clock())
    await opted_out.follow()
    if (KEPT / version / "slots.json").exists():
        assert sums == {"at": {"accepted": 3, "cost:ZMW": Decimal("2.40")}}
    if (KEPT / version / "suppressions.json").exists():
        assert opted_out.stops("a hash", frozenset({"bank"}))


async def test_a_report_in_words_of_a_newer_version_is_left_to_that_one(
    database_empty: Database,
) -> None:
    (stored,) = load(KEPT / "1" / "reports.json")
    newer = {**stored, "_id": "newer", "delivery": "read"}
    await database_empty["reports"].insert_many([newer, stored])
    reports = ReportStore(database_empty["reports"], Clock(), keep_s=60)
    assert [each.id for each in await reports.waiting_for([stored["ref"]])] == [stored["_id"]]
    await database_empty["reports"].update_many({}, {"$set": {"nextAt": AT}})
    assert [each.id for each in await reports.orphans()] == [stored["_id"]]
    left = await database_empty["reports"].find_one({"_id": "newer"})
    assert (left["nextAt"], left["matched"]) == (AT, False)
