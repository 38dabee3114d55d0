"""Words that are stored or published have a meaning each, and the documentation has all of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from worker.domain.alerts import alert_codes
from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.evidence_gates import COMPARE_FROM, COMPARISONS, SOAK_FROM
from worker.domain.documented import markdown_table
from worker.domain.migration import change_names, flags_document, gate_names, reply_codes
from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.flags import Flags
from worker.domain.migration.gate_names import GateName
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.domain.documented import DocumentedWord

ROOT = Path(__file__).parents[3]
SECTIONS = (
    ("contracts/README.md", "commands", change_names.table),
    ("contracts/README.md", "reply codes", reply_codes.table),
    ("deploy/README.md", "alerts", alert_codes.table),
    ("deploy/README.md", "gates", gate_names.table),
)


@pytest.mark.parametrize(("file", "section", "table"), SECTIONS)
def test_the_documentation_has_the_table_as_it_is(
    file: str, section: str, table: Callable[[], str]
) -> None:
    begin, end = f"<!-- {section} -->\n", f"<!-- end of {section} -->"
    text = (ROOT / file).read_text(encoding="utf-8")
    assert text.count(begin) == text.count(end) == 1
    written = text.partition(begin)[2].partition(end)[0].strip()
    assert written == table(), f"stale: put the output of {table.__module__}.table() there"


@pytest.mark.parametrize("registry", [AlertCode, ChangeName, GateName, ReplyCode])
def test_every_word_has_a_meaning_of_its_own(registry: type[DocumentedWord]) -> None:
    meanings = [word.meaning for word in registry]
    assert all(meanings)
    assert len(set(meanings)) == len(meanings)


def test_the_gates_say_from_which_share_on_they_are_asked() -> None:
    compared = f"from {COMPARE_FROM} % to below {SOAK_FROM} %"
    assert {name.asked for name in COMPARISONS.values()} == {compared}
    assert f"from {SOAK_FROM} % on" in GateName.TIME.flags


def test_every_flag_that_a_gate_names_is_one() -> None:
    flags = json.dumps(flags_document.document(Flags(), 0))
    named = {
        word
        for gate in GateName
        for path in re.findall(r"`([A-Z][^`]*)`", gate.flags)
        for word in path.split(".")
        if word != "<phase>"
    }
    assert {word for word in named if f'"{word}"' not in flags} == set()


def test_a_word_is_what_is_stored_and_published() -> None:
    code = next(iter(ReplyCode))
    assert (str(code), type(str(code)), f"{code}") == ("ok", str, "ok")


def test_whatever_automation_holds_for_has_an_alert_code() -> None:
    assert set(HoldReason) <= set(AlertCode)


def test_nothing_in_a_cell_ends_the_cell() -> None:
    assert markdown_table(("a", "b"), [("x|y", "z")]) == "| a | b |\n| --- | --- |\n| x\\|y | z |"
