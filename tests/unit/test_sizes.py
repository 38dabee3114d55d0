"""Sources stay small: what grows beyond a page or a screen is two things."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = sorted([*(ROOT / "worker").rglob("*.py"), *(ROOT / "contracts").rglob("*.py")])
MOST_LINES, USUAL_LINES, LONGEST_FUNCTION = 400, 250, 40
AT_THE_ROOT: Final = {"__init__", "__main__", "clock", "numbers", "service"}


def lines(source: Path) -> int:
    return len(source.read_text().splitlines())


def functions(source: Path) -> Iterator[tuple[str, int]]:
    """Names and lengths of the functions of a source, its methods included."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield f"{source.name}: {node.name}", node.end_lineno - node.lineno + 1


def test_no_source_is_long_and_nine_of_ten_are_short() -> None:
    assert [source.name for source in SOURCES if lines(source) > MOST_LINES] == []
    assert sum(lines(source) > USUAL_LINES for source in SOURCES) * 10 <= len(SOURCES)


def test_no_function_is_longer_than_a_screen() -> None:
    every = [found for source in SOURCES for found in functions(source)]
    assert every
    assert [name for name, length in every if length > LONGEST_FUNCTION] == []


def test_modules_at_the_root_of_the_worker_are_those_that_every_room_needs() -> None:
    assert {source.stem for source in (ROOT / "worker").glob("*.py")} == AT_THE_ROOT
