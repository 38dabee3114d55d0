"""Reads the address of the database, which only says how to reach the server.

Rules: an address may name hosts, login, encryption, compression and the replica set. All other
options are left out, also those that a later driver adds. `store.client` sets where the worker
reads, when a write counts, what is repeated and how long it waits. The addresses that hosted
databases give out often set these differently.
"""

from __future__ import annotations

from typing import Final

REACHING: Final = frozenset(
    {
        "authmechanism",
        "authmechanismproperties",
        "authsource",
        "compressors",
        "directconnection",
        "loadbalanced",
        "replicaset",
        "srvallowedhostssuffix",
        "srvmaxhosts",
        "srvservicename",
        "ssl",
        "tls",
        "tlsallowinvalidcertificates",
        "tlsallowinvalidhostnames",
        "tlscafile",
        "tlscertificatekeyfile",
        "tlscertificatekeyfilepassword",
        "tlscrlfile",
        "tlsdisableocspendpointcheck",
        "tlsinsecure",
        "zlibcompressionlevel",
    }
)
"""Options that an address may have, in lower case."""


def split(url: str) -> tuple[str, tuple[str, ...]]:
    """Split an address into the part that is used and the names of the options left out."""
    base, _, query = url.partition("?")
    separator = "&" if "&" in query else ";"
    options = [option for option in query.split(separator) if option]
    used = [option for option in options if _name(option).lower() in REACHING]
    left_out = dict.fromkeys(_name(option) for option in options if option not in used)
    return f"{base}?{separator.join(used)}" if used else base, tuple(left_out)


def _name(option: str) -> str:
    return option.partition("=")[0]
