"""Options of a client, as far as they change what the simulated server does.

Rules: an option or a value that is not known here raises `NotImplementedError`, so that a setting
of the product cannot be ignored by mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_SECONDARY: Final = frozenset({"secondary", "secondaryPreferred"})
_FIXED: Final = {"journal": (True,), "tz_aware": (True,)}
_NO_EFFECT: Final = frozenset({"appname", "maxPoolSize"})
"""Sockets are not simulated, so there is no limit of them."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a client asks of the server."""

    majority: bool
    """Whether a write is acknowledged only once a majority has it."""
    concern: str
    secondary: bool
    """Whether reads go to a secondary."""
    retry_writes: bool
    retry_reads: bool
    timeout_s: float


def options(**given: Any) -> Options:
    """Read the options of a client."""
    for name, allowed in _FIXED.items():
        _one_of(given, name, *allowed)
    preference = _one_of(given, "readPreference", "primary", *_SECONDARY)
    read = Options(
        majority=_one_of(given, "w", "majority", 1) == "majority",
        concern=_one_of(given, "readConcernLevel", "majority", "local"),
        secondary=preference in _SECONDARY,
        retry_writes=_one_of(given, "retryWrites", True, False),  # noqa: FBT003
        retry_reads=_one_of(given, "retryReads", True, False),  # noqa: FBT003
        timeout_s=given.pop("timeoutMS") / 1000,
    )
    if unknown := set(given) - _NO_EFFECT:
        raise NotImplementedError(f"options of a client: {sorted(unknown)}")
    return read


def _one_of(given: dict[str, Any], name: str, *allowed: Any) -> Any:
    value = given.pop(name)
    if value not in allowed:
        raise NotImplementedError(f"{name}={value!r}")
    return value
