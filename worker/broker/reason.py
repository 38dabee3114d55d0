"""Explains why the broker cannot be reached, for the person who set its address."""

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
"""The first matching row counts. The broker's own text holds names, never a password."""


def why(error: Exception) -> str:
    """Return the reason for any error, without any part of the address."""
    root = error.__cause__ or error
    for kinds, text in _REASONS:
        if isinstance(root, kinds):
            return text.format(said=root)
    return f"no connection ({type(root).__name__})"
