"""Why the broker is not reached, and whether that may pass."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from aiormq.exceptions import (
    AMQPConnectionError,
    ChannelAccessRefused,
    ConnectionClosed,
    IncompatibleProtocolError,
    ProbableAuthenticationError,
)

from worker.broker.reason import passes, why


def caused(root: BaseException, error: Exception | None = None) -> Exception:
    """The library's error with what it came from."""
    error = error or AMQPConnectionError("amqp://worker:hush@h/")
    error.__cause__ = root
    return error


@pytest.mark.parametrize(
    ("error", "text", "may_pass"),
    [
        (ProbableAuthenticationError("x"), "it refuses the login", False),
        (caused(asyncio.CancelledError(), ProbableAuthenticationError("x")), "it refuses", False),
        (ConnectionClosed(530, "NOT_ALLOWED - no such vhost"), "it refuses: ", False),
        (ConnectionClosed(320, "CONNECTION_FORCED"), "it refuses: ", True),
        (ConnectionClosed(541, "INTERNAL_ERROR - vhost is down"), "it refuses: ", True),
        (ChannelAccessRefused("ACCESS_REFUSED"), "it refuses: ", False),
        (IncompatibleProtocolError(), "it does not speak AMQP", True),
        (caused(asyncio.IncompleteReadError(b"", 1)), "it does not speak AMQP", True),
        (caused(socket.gaierror("x")), "its host name cannot be resolved", True),
        (caused(ssl.SSLCertVerificationError("x")), "its certificate is not trusted", False),
        (caused(ssl.SSLError("x")), "it does not speak TLS", False),
        (caused(ssl.SSLEOFError("x")), "it ended the TLS handshake", True),
        (caused(ConnectionRefusedError()), "nothing listens there", True),
        (caused(ConnectionResetError()), "it ended the connection (client cert", True),
        (FileNotFoundError("hush"), "a file of a TLS option cannot be read", False),
        (TimeoutError(), "no answer in time", True),
        (caused(OSError(113, "No route to host")), "no connection (OSError)", True),
        (ValueError("hush"), "no connection (ValueError)", False),
    ],
)
def test_a_reason_is_named_and_said_to_pass_or_not(
    error: Exception, text: str, *, may_pass: bool
) -> None:
    assert why(error).startswith(text)
    assert "hush" not in why(error)
    assert passes(error) is may_pass
