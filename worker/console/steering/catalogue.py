"""All descriptions by the name of the command.

Rules: every command of the contract has one, which a test holds.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.console.steering.moves import MOVES
from worker.console.steering.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.console.steering.descriptions import Description

CATALOGUE: Final[Mapping[str, Description]] = MappingProxyType(
    {each.name: each for each in (*MOVES, *SETTINGS)}
)
