"""The whole crash matrix (`matrix`), as `make torture` runs it."""

from __future__ import annotations

import pytest

from tests.torture.processes.matrix import WORLDS, run


@pytest.mark.torture
@pytest.mark.timeout(1800)
async def test_every_cell_of_the_matrix_holds() -> None:
    results = await run((), WORLDS)
    assert results.broken == {}
