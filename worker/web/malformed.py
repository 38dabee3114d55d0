"""Why a callback cannot be read."""

from __future__ import annotations


class MalformedError(ValueError):
    """The callback cannot be read; the message says why and quotes nothing of it."""
