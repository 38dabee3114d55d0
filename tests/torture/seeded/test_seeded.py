"""Each fault of before, put back into the code, is found by the simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.torture.seeded.hunt import PATCHES, hunt, seed

if TYPE_CHECKING:
    from pathlib import Path

QUICK: Final = ("acknowledge_before_the_record", "ordinal_reused", "retry_on_unknown")
"""Faults that a few histories show."""


def test_there_are_ten_of_them() -> None:
    assert len(PATCHES) == 10
    assert set(QUICK) <= set(PATCHES)


@pytest.mark.parametrize("name", PATCHES)
def test_each_still_fits_the_sources(name: str, tmp_path: Path) -> None:
    seed(PATCHES[name], tmp_path)


def found(name: str, folder: Path) -> None:
    seed(PATCHES[name], folder)
    brought = hunt(name, folder)
    print(f"{name}: {brought.histories} histories: {brought.broken[:1]}")
    assert brought.broken, f"{name} was not found in {brought.histories} histories"


@pytest.mark.parametrize("name", QUICK)
def test_a_few_histories_find_it(name: str, tmp_path: Path) -> None:
    found(name, tmp_path)


@pytest.mark.torture
@pytest.mark.parametrize("name", [name for name in PATCHES if name not in QUICK])
def test_the_simulation_finds_it(name: str, tmp_path: Path) -> None:
    found(name, tmp_path)
