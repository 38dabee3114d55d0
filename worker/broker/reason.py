"""Explains why the broker cannot be reached, for the person who set its address.

Rules: a reason that may pass by itself (a server that is down, a name that is not known yet) is
told apart from one that only a person can end (a refused login). A process waits for the end of the
first at its start, and ends at the second.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final, NamedTuple

from aiormq.exceptions import (
    AMQPChannelError,
    AMQPError,
    AuthenticationError,
    ChannelInvalidStateError,
    ConnectionClosed,
    IncompatibleProtocolError,
    ProbableAuthenticationError,
)


class _Reason(NamedTuple):
    kinds: tuple[type[BaseException], ...]
    text: str
    passes: bool


_REASONS: Final = (
    _Reason(
        (ProbableAuthenticationError, AuthenticationError),
        "it refuses the login (is the password percent-encoded?)",
        passes=False,
    ),
    _Reason((ConnectionClosed, AMQPChannelError), "it refuses: {said}", passes=False),
    _Reason(
        (IncompatibleProtocolError, EOFError),
        "it does not speak AMQP, or expects TLS (amqps), or is just starting",
        passes=True,
    ),
    _Reason((socket.gaierror,), "its host name cannot be resolved", passes=True),
    _Reason((UnicodeError,), "its host name cannot be resolved", passes=False),
    _Reason(
        (ssl.SSLCertVerificationError,),
        "its certificate is not trusted, or is for another host",
        passes=False,
    ),
    _Reason((ssl.SSLEOFError,), "it ended the TLS handshake", passes=True),
    _Reason(
        (ssl.SSLError,),
        "it does not speak TLS (amqp instead of amqps?), or refuses ours",
        passes=False,
    ),
    _Reason(
        (FileNotFoundError, PermissionError, IsADirectoryError),
        "a file of a TLS option cannot be read",
        passes=False,
    ),
    _Reason((ConnectionRefusedError,), "nothing listens there", passes=True),
    _Reason(
        (ConnectionResetError,),
        "it ended the connection (client certificate missing?)",
        passes=True,
    ),
    _Reason((TimeoutError,), "no answer in time", passes=True),
)
"""The first matching row counts. The broker's own text holds names, never a password."""
_GOING_DOWN: Final = (320, 541)
"""Codes with which a broker ends a connection because of its own state."""
_OTHERS: Final = (AMQPError, ChannelInvalidStateError, OSError)
"""Kinds without a row that may pass, too."""


def why(error: BaseException) -> str:
    """Return the reason for any error, without any part of the address."""
    reason, said = _found(error)
    return reason.text.format(said=said) if reason else f"no connection ({type(said).__name__})"


def passes(error: BaseException) -> bool:
    """Return whether the reason may pass by itself."""
    reason, said = _found(error)
    if isinstance(said, ConnectionClosed):
        return said.args[0] in _GOING_DOWN
    return reason.passes if reason else isinstance(error, _OTHERS)


def _found(error: BaseException) -> tuple[_Reason | None, BaseException]:
    """The reason for an error or for its cause, and which of the two it is.

    The error goes first: the library's refusal of a login may be caused by a cancelled task.
    """
    chain = [error] if error.__cause__ is None else [error, error.__cause__]
    for each in chain:
        for reason in _REASONS:
            if isinstance(each, reason.kinds):
                return reason, each
    return None, chain[-1]
