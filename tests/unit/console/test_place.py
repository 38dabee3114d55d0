"""Where browsers find the console, by its settings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.console_fakes import settings
from worker.console.place import Place


def place(**changes: Any) -> Place:
    return Place.of(settings(**changes))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_this_machine_it_has_the_names_of_this_machine(host: str) -> None:
    assert place(console_host=host).hosts(8090) == {
        "127.0.0.1:8090",
        "localhost:8090",
        "[::1]:8090",
    }


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - not bound
def test_on_every_address_it_has_the_name_of_its_origin_alone(host: str) -> None:
    found = place(console_host=host, console_origin="https://sms.example")
    assert found.hosts(8090) == {"sms.example"}
    assert found.origins(8090) == {"https://sms.example"}


def test_published_on_this_machine_it_has_the_names_of_this_machine() -> None:
    found = place(console_host="0.0.0.0", console_origin="http://localhost:18090")  # noqa: S104
    assert found.hosts(8090) == {"127.0.0.1:18090", "localhost:18090", "[::1]:18090"}


@pytest.mark.parametrize("origin", ["https://localhost.example", "https://127.0.0.1.example"])
def test_a_name_that_begins_like_this_machine_is_another(origin: str) -> None:
    found = place(console_host="0.0.0.0", console_origin=origin)  # noqa: S104
    assert found.origins(8090) == {origin}


def test_on_one_address_it_has_that_and_the_name_of_its_origin() -> None:
    found = place(console_host="10.0.0.5", console_origin="https://sms.example:8443")
    assert found.hosts(8090) == {"sms.example:8443", "10.0.0.5:8090"}
    assert found.origins(8090) == {"https://sms.example:8443", "https://10.0.0.5:8090"}


def test_the_usual_port_is_left_out_as_browsers_do() -> None:
    assert "http://localhost" in place().origins(80)
    assert place(console_origin="https://SMS.example:443").origin == "https://sms.example"


@pytest.mark.parametrize(
    ("origin", "name", "path"),
    [
        ("", "sms-8090", "/"),
        ("http://localhost:8090/console/", "sms-8090", "/console"),
        ("https://sms.example", "__Host-sms", "/"),
        ("https://sms.example/", "__Host-sms", "/"),
        ("https://example/sms/console", "__Secure-sms", "/sms/console"),
    ],
)
def test_a_cookie_is_bound_as_tightly_as_browsers_allow(origin: str, name: str, path: str) -> None:
    found = place(console_origin=origin)
    assert (found.cookie("sms", 8090), found.cookie_path) == (name, path)
