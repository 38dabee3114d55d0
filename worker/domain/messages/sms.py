"""One SMS as it is handed to one provider."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sms:
    """One SMS as handed to one provider."""

    message_id: str
    epoch: int
    """Names the attempt; with `message_id` it is our own reference where a provider takes one."""
    to: str
    """E.164; an adapter converts to its provider's form."""
    text: str
    sender_id: str | None
    """The message's own sender id; None: the provider's configured one."""
    valid_for_s: float
    """Life left at the time of the call, seconds."""
    traceparent: str | None = None
