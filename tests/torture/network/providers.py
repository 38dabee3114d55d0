"""Providers misbehave: slow, hanging, flapping, garbage, redirects, huge bodies, wrong TLS.

Rules: what a provider does instead of its usual answer is a script of its simulator. Each is done
to the target alone, where the other provider is left, and some to both at once.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.support.whole_system import PROVIDERS
from tests.torture.network.case import Case

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.torture.network.behind_proxies import Network

TARGET: Final = PROVIDERS[:1]
FOR_S: Final = 1.5
_FLAPS_S: Final = 0.3
_NO_REPORTS: Final = {"send": False}
USUAL: Final = {"action": {"do": "answer", "latency_ms": 50, "reports": _NO_REPORTS}}
"""Rule of a provider that does well. No reports: they double the work and say nothing here."""


def _does(**action: Any) -> dict[str, Any]:
    return {"action": {**action, "reports": _NO_REPORTS}}


SCRIPTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "slow": _does(do="answer", latency_ms=1_200),
    "hanging": _does(do="hang"),
    "hanging after it took the message": _does(do="hang", taken=True),
    "resetting after it took the message": _does(do="reset", taken=True),
    "closing after it took the message": _does(do="close"),
    "garbage": _does(do="garbage"),
    "half a body": _does(do="half_body"),
    "redirecting": _does(do="http", status=307, headers={"Location": "http://127.0.0.1:9/"}),
    "huge body": _does(do="http", status=201, taken=True, body="x" * 900_000),
    "too many": _does(do="http", status=429, headers={"Retry-After": "1"}),
    "unavailable": _does(do="http", status=503),
    "server error": _does(do="http", status=500),
}
PROOFS: Final = frozenset({"slow", "redirecting", "too many"})
"""After which a worker knows what became of a message."""
BY_BOTH: Final = ("hanging", "garbage", "unavailable")


async def misbehaving(network: Network, who: Sequence[str], script: Mapping[str, Any]) -> None:
    """These providers follow this script for a while."""
    for provider in who:
        await network.system.faults(provider, script)
    await asyncio.sleep(FOR_S)
    await usual(network)


async def usual(network: Network) -> None:
    """Both providers do well."""
    for provider in PROVIDERS:
        await network.system.faults(provider, USUAL)


async def flapping(network: Network, who: Sequence[str]) -> None:
    """These providers are gone and back, again and again."""
    for _ in range(int(FOR_S / _FLAPS_S / 2) + 1):
        for rule in ({"action": {"do": "unreachable"}}, USUAL):
            for provider in who:
                await network.system.faults(provider, rule)
            await asyncio.sleep(_FLAPS_S)


async def untrusted(network: Network) -> None:
    """The target shows a certificate for another name."""
    await _shows(network, "other", "provider.example")


async def _shows(network: Network, file: str, name: str) -> None:
    network.tls.load_cert_chain(*network.certificates.issued(file, name))
    network.proxies["africastalking"].reset()
    await asyncio.sleep(FOR_S)
    network.tls.load_cert_chain(*network.certificates.server)


def cases() -> Iterator[Case]:
    """Everything that providers do."""
    for what, script in SCRIPTS.items():
        fault = partial(misbehaving, who=TARGET, script=script)
        yield Case(f"target {what}", fault, blurs=what not in PROOFS)
    for what in BY_BOTH:
        fault = partial(misbehaving, who=PROVIDERS, script=SCRIPTS[what])
        yield Case(f"both {what}", fault, blurs=True)
    yield Case("target flapping", partial(flapping, who=TARGET), blurs=True)
    yield Case("both flapping", partial(flapping, who=PROVIDERS), blurs=True)
    yield Case("target with a certificate for another name", untrusted, blurs=True)
