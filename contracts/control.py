"""Steering the migration.

Rules: `control.state` is a wake-up and carries the version only: the store is the truth, and a
replica reads it there.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.model import Moment, Wire


class StateAnnouncement(Wire):
    """A new version of flags and state is in force."""

    version: Annotated[int, Field(strict=True, ge=0)]
    lineage: UUID
    """Of the control log: a restored or replaced store has another, whatever its version."""
    at: Moment
