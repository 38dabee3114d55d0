"""Opens connections to the simulated broker, as `worker.broker.connection.connect` does."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from aiormq.exceptions import ProbableAuthenticationError

from tests.torture.simulation.broker.connection import Connection
from worker.broker import tolerant_decoding
from worker.broker.connection import CONNECT_TIMEOUT_S, HEARTBEAT_S

if TYPE_CHECKING:
    from tests.torture.simulation.broker.server import Server
    from tests.torture.simulation.wire import Wire


async def open_connection(
    server: Server,
    wire: Wire,
    url: str,
    name: str = "sms-worker",
    *,
    timeout_s: float = CONNECT_TIMEOUT_S,
    heartbeat_s: int = HEARTBEAT_S,
) -> Connection:
    """Open a connection.

    Args:
        server: the broker.
        wire: between this process and the broker.
        url: only its user counts.
        name: of the connection; nobody sees it.
        timeout_s: for connecting, seconds.
        heartbeat_s: a dead peer is noticed after twice that.

    Raises:
        OSError: the broker is down or does not answer.
        ProbableAuthenticationError: there is no such user.
    """
    del name
    tolerant_decoding.install()
    connection = Connection(server, wire, heartbeat_s)
    user = unquote(urlsplit(url).username or "")
    try:
        await connection.open(user, timeout_s)
    except PermissionError as error:
        raise ProbableAuthenticationError(str(error)) from error
    return connection
