"""The SMS that an adapter sends through its provider."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sms:
    """One SMS for one provider."""

    message_id: str
    epoch: int
    """The attempt's number. With `message_id` it is our reference, if a provider takes one."""
    to: str
    """The number in E.164. The adapter converts it to its provider's form."""
    text: str
    sender_id: str | None
    """The message's own sender id; None: the configured sender id of the provider."""
    valid_for_s: float
    """The rest of the message's life at the time of the call, in seconds."""
    traceparent: str | None = None
