"""What tests of several levels need stands in tests/support; no level imports another's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS: Final = Path(__file__).parents[1]
LEVELS: Final = ("unit", "contracts", "integration", "system", "bench")
_IMPORT: Final = re.compile(r"^\s*(?:from|import) tests\.(\w+)", re.MULTILINE)


def foreign_imports(folder: str) -> Iterator[str]:
    """What a folder imports from the levels, but for its own."""
    for source in sorted((TESTS / folder).rglob("*.py")):
        for imported in _IMPORT.findall(source.read_text()):
            if imported not in {folder, "support"}:
                yield f"{source.relative_to(TESTS)} imports tests.{imported}"


@pytest.mark.parametrize("folder", [*LEVELS, "support"])
def test_helpers_of_one_level_are_imported_by_no_other(folder: str) -> None:
    assert list(foreign_imports(folder)) == []
