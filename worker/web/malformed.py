"""The error for a callback that cannot be read."""

from __future__ import annotations


class MalformedError(ValueError):
    """The callback cannot be read. The message says why and quotes nothing of it."""
