"""The page "Now": everything that it shows at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from worker.console.known import Known
    from worker.console.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Now:
    """The page."""

    at: datetime


def now(known: Known, viewer: Viewer, at: datetime) -> Now:  # noqa: ARG001
    """Make the page from what is known."""
    return Now(at)
