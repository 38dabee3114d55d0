"""From where a request comes, and what follows from that."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from tests.support.fakes import HandClock
from worker.web.sources import BURST_S, MOST, Sources, origin

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
EVIL = "6.6.6.6"


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", [EVIL], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", [f"{EVIL}, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", [EVIL, "192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", [f"{EVIL}, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        ("10.0.0.1", ["10.0.0.3,10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["192.0.2.1:4711"], "192.0.2.1"),
        ("fd00::1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", [f"{EVIL}, unknown"], "10.0.0.1"),
        ("10.0.0.1", [f"{EVIL},"], "10.0.0.1"),
    ],
)
def test_forwarded_addresses_count_as_far_as_our_proxies_wrote_them(
    peer: str, forwarded: list[str], expected: str
) -> None:
    assert origin(peer, forwarded, PROXIES) == ip_address(expected)


def test_without_a_trusted_proxy_the_connection_counts() -> None:
    assert origin("10.0.0.1", ["192.0.2.1"], ()) == ip_address("10.0.0.1")


def test_a_connection_without_an_address_has_no_source() -> None:
    assert origin("", ["192.0.2.1"], PROXIES) is None


def test_a_provider_with_a_list_is_held_to_it_and_others_are_not() -> None:
    sources = Sources(HandClock(), allowed={"target": [ip_network("192.0.2.0/24")]})
    assert sources.may(ip_address("192.0.2.7"), "target")
    assert not sources.may(ip_address("192.0.3.7"), "target")
    assert not sources.may(ip_address("2001:db8::1"), "target")
    assert not sources.may(None, "target")
    assert sources.may(ip_address("192.0.3.7"), "legacy")


def taken(sources: Sources, address: str, tries: int) -> int:
    return sum(sources.in_time(ip_address(address)) for _ in range(tries))


def test_a_source_keeps_its_rate_and_takes_nothing_from_others() -> None:
    clock = HandClock()
    sources = Sources(clock, rate_per_s=8)
    burst = int(BURST_S * 8) + 1
    assert taken(sources, "192.0.2.1", 100) == burst
    assert taken(sources, "192.0.2.2", 1) == 1
    clock.advance(1)
    assert taken(sources, "192.0.2.1", 100) == 8
    clock.advance(60)
    assert taken(sources, "192.0.2.1", 100) == burst


def test_the_addresses_of_one_host_are_one_source() -> None:
    sources = Sources(HandClock(), rate_per_s=0.1)
    assert taken(sources, "2001:db8::1", 1) == 1
    assert taken(sources, "2001:db8::ffff", 1) == 0
    assert taken(sources, "2001:db8:0:1::1", 1) == 1


def test_the_memory_of_sources_is_bounded() -> None:
    sources = Sources(HandClock(), rate_per_s=0.1)
    assert taken(sources, "192.0.2.1", 2) == 1
    for number in range(MOST):
        sources.in_time(ip_address(number))
    assert taken(sources, "192.0.2.1", 1) == 1
