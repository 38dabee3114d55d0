"""Why a connection to the broker cannot be made, in words for whoever set its address."""

from __future__ import annotations

import socket
import ssl
from typing import Final

from aiormq.exceptions import (
    AMQPChannelError,
    AuthenticationError,
    ConnectionClosed,
    IncompatibleProtocolError,
    ProbableAuthenticationError,
)

_REASONS: Final[tuple[tuple[tuple[type[BaseException], ...], str], ...]] = (
    (
        (ProbableAuthenticationError, AuthenticationError),
        "it refuses the login (is the password percent-encoded?)",
    ),
    ((ConnectionClosed, AMQPChannelError), "it refuses: {said}"),
    ((IncompatibleProtocolError, EOFError), "it does not speak AMQP, or expects TLS (amqps)"),
    ((socket.gaierror, UnicodeError), "its host name cannot be resolved"),
    ((ssl.SSLCertVerificationError,), "its certificate is not trusted, or is for another host"),
    ((ssl.SSLError,), "it does not speak TLS (amqp instead of amqps?), or refuses ours"),
    ((ConnectionRefusedError,), "nothing listens there"),
    ((TimeoutError,), "no answer in time"),
)
"""The first row that fits counts. What the broker says holds names, never a password."""


def why(error: Exception) -> str:
    """The reason; total, and without a part of the address."""
    root = error.__cause__ or error
    for kinds, text in _REASONS:
        if isinstance(root, kinds):
            return text.format(said=root)
    return f"no connection ({type(root).__name__})"
