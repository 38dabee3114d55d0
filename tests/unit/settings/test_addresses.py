"""Addresses: what a library would read as something else is refused, and nothing of it shown."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.uri_parser import parse_uri
from yarl import URL

from worker.settings.addresses import (
    LOGIN,
    amqp_problems,
    http_problems,
    mongo_problems,
    nearest,
    one_by_one,
    shown,
    where,
)
from worker.store.address_check import problems as driver_problems

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=24)
HOST = "expected a host name"
PORT = "expected a port"


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("amqp://u:pass#word@h/", LOGIN),
        ("amqp://u:12/34@h/", LOGIN),
        ("amqp://u:12?34@h/", LOGIN),
        ("amqp://u:per%cent@h/", LOGIN),
        ("amqp://u:pa[ss@h/", LOGIN),
        ("amqp://u:pa\\ss@h/", LOGIN),
        ("amqp://u:p%0A@h/", LOGIN),
        ("amqp://u:pa\uff0fss@h/", LOGIN),
        ("amqp://u:\u2100ss@h/", LOGIN),
        ("amqp://u:%25\xb8@h/", LOGIN),
        ("amqp://u:p\t@h/", "expected no blanks"),
        ("amqp://u:p@h\n", "expected no blanks"),
        ("amqp://u@h/", "expected a password"),
        ("amqp://:p@h/", "expected a user name"),
        ("http://h/", "expected an address that begins with amqp:// or amqps://"),
        ("amqp:///", HOST),
        ("amqp://u:p@/", HOST),
        ("amqp://u:p@:5672/", HOST),
        ("amqp://u:p@a..b/", HOST),
        ("amqp://u:p@a,/", f"host 2: {HOST}"),
        ("amqp://u:p@,a/", f"host 1: {HOST}"),
        ("amqp://u:p@a:1,b:0/", f"host 2: {PORT}"),
        ("amqp://u:p@a:1,b:2,a:1/", "expected each host once"),
        ("amqp://u:p@[::x]/", HOST),
        (f"amqp://u:p@{'x' * 64}/", HOST),
        ("amqp://u:p@h:0/", PORT),
        ("amqp://u:p@h:65536/", PORT),
        ("amqp://u:p@h:port/", PORT),
        ("amqp://u:p@h:/", PORT),
        ("amqp://u:p@h/?heartbeat=soon", "option heartbeat: expected whole seconds"),
        ("amqp://u:p@h/?heartbeat", "option heartbeat: expected whole seconds"),
        ("amqp://u:p@h/?no_verify_ssl=false", "option no_verify_ssl: expected 0: certificates"),
        ("amqps://u:p@h/?no_verify_ssl=1", "option no_verify_ssl: expected 0: certificates"),
        ("amqp://u:p@h/?heartbeet=3", "expected no option 'heartbeet' (did you mean heartbeat?)"),
        ("amqp://u:p@h/?ca_certs=x", "expected no option 'ca_certs'"),
        ("amqp://u:p@h/?timeout=3&timeout=4", "expected each option once"),
    ],
)
def test_an_address_of_a_broker_is_refused(address: str, problem: str) -> None:
    (found,) = amqp_problems(address)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    "address",
    [
        "amqp://h",
        "amqp://u:p@ss@h/",
        "amqp://u:100%@h/",
        "amqp://u:a+b;c@h/vhost",
        "amqp://u:p@[::1]:5672/%2F",
        "amqp://a,b",
        "amqps://u:p,q@a:1,[::1]:2,b.example:3/%2F?cafile=a,b",
        "amqps://u:p@mq.example.:5671/?heartbeat=20&cafile=%2Fca.pem",
        "amqps://u@h/?auth=EXTERNAL&certfile=a&keyfile=b",
    ],
)
def test_an_address_of_a_broker_that_works_is_taken(address: str) -> None:
    assert amqp_problems(address) == []


@given(TEXT, TEXT)
def test_a_login_in_a_broker_address_is_refused_or_read_as_written(user: str, secret: str) -> None:
    address = f"amqp://{user}:{secret}@host:5673/"
    if amqp_problems(address):
        return
    read = URL(address)
    written = f"{user}:{secret}".partition(":")
    assert (read.user, read.password, read.host, read.port) == (
        unquote(written[0]), unquote(written[2]), "host", 5673,
    )  # fmt: skip


@given(TEXT.filter(str.isprintable).filter(bool))
def test_an_encoded_login_is_taken_by_every_kind_of_address(secret: str) -> None:
    login = f"u:{quote(secret, safe='')}@host"
    assert amqp_problems(f"amqp://{login}/") == []
    address = f"mongodb://{login}/?replicaSet=rs0"
    assert mongo_problems(address) + driver_problems(address) == []
    assert parse_uri(address)["password"] == secret


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("mongodb://u:p@ss@h/", LOGIN),
        ("mongodb://u:p:q@h/", LOGIN),
        ("mongodb://u:12/34@h", LOGIN),
        ("mongodb://u:12?34x=5@h/", LOGIN),
        ("mongodb://u:per%cent@h/", LOGIN),
        ("mongodb://u:a+b@h/", "expected %2B"),
        ("mongodb://u:p@h/ ", "expected no blanks"),
        ("amqp://h/", "expected an address that begins with mongodb:// or mongodb+srv://"),
        ("mongodb://u:p@/", HOST),
        ("mongodb://h,,g/", HOST),
        ("mongodb://h:0,g/", PORT),
        ("mongodb://u:p%zz@h/", "Username and password must be escaped"),
        ("mongodb://h/?retryWrite=true", "Unknown option: retrywrite. Did you mean"),
        ("mongodb://h/?w=", "expected a value for every option"),
        ("mongodb://h/?w", "expected a value for every option"),
        ("mongodb://h/?tls=maybe", "The value of tls must be"),
        ("mongodb://h/?tls=true&tlsInsecure=true", "option tlsInsecure: expected false or none"),
        ("mongodb://h/?tlsAllowInvalidCertificates=true", "option tlsAllowInvalidCertificates: "),
        ("mongodb://h/?tlsallowinvalidhostnames=TRUE", "option tlsallowinvalidhostnames: "),
        ("mongodb://h/?w=1&W=2", "Duplicate URI option"),
        ("mongodb://h/?tlsCAFile=/no/such&tls=true", "expected the file of a TLS option"),
        ("mongodb://u@h/?authMechanism=SCRAM-SHA-256", "A password is required"),
        ("mongodb+srv://a.b.c:27/", "mongodb+srv:// URIs must not include a port"),
        ("mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN", "Malformed auth mechanism"),
    ],
)
def test_an_address_of_a_database_is_refused(address: str, problem: str) -> None:
    found = mongo_problems(address) or driver_problems(address)
    assert found[0].startswith(problem)


@pytest.mark.parametrize(
    "address",
    [
        "mongodb://h",
        "mongodb://u:a#b@h:1,g:2/db?replicaSet=rs0&authSource=admin",
        "mongodb://u:p@h/?appName=@account@",
        "mongodb+srv://u:p@cluster.example.net/?retryWrites=true&w=majority",
        "mongodb://%2Ftmp%2Fmongodb-27017.sock/",
    ],
)
def test_an_address_of_a_database_that_works_is_taken(address: str) -> None:
    assert mongo_problems(address) + driver_problems(address) == []


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("https://", HOST),
        ("https:///path", HOST),
        ("https://h\n", "expected no blanks"),
        ("https://h /", "expected no blanks"),
        ("https://u:p@h/", "expected no login"),
        ("https://h:99999/", PORT),
        ("https://h/?a=b", "expected nothing behind the path"),
        ("https://h/#a", "expected nothing behind the path"),
        ("https://h?", "expected nothing behind the path"),
        ("https://300.1.1.1", HOST),
        ("http://256.256.256.256", HOST),
        ("http://1.2.3.4.5", HOST),
        ("http://10.20.300.4", HOST),
        ("http://10.20.30", HOST),
        ("http://1.2.3.4.", HOST),
        ("http://1.2.3.04", HOST),
        ("http://999", HOST),
        ("http://0x7f.1", HOST),
        ("http://[1.2.3.4]", HOST),
        ("https://h/./v1", "expected a path without empty steps"),
        ("https://h/v1/.", "expected a path without empty steps"),
        ("https://h/%2e%2E/v1", "expected a path without empty steps"),
        ("https://h/a%2F..%2Fb", "expected a path without empty steps"),
        ("https://h/..\\v1", "expected a path without empty steps"),
        ("https://h//v1", "expected a path without empty steps"),
        ("https://h/../v1", "expected a path without empty steps"),
        ("h", "expected an address that begins with http:// or https://"),
    ],
)
def test_a_base_address_is_refused(address: str, problem: str) -> None:
    (found,) = http_problems(address)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    "address",
    [
        "http://h",
        "https://h.example:8443/base/",
        "http://[::1]:1",
        "http://10.20.30.4:80/v1.2",
        "http://gw.1",
        "http://1a",
        "http://h./..a",
    ],
)
def test_a_base_address_that_works_is_taken(address: str) -> None:
    assert http_problems(address) == []


def test_only_the_hosts_of_an_address_are_shown() -> None:
    assert where("mongodb://u:p@h:1,g:2/db?replicaSet=rs0") == "h:1,g:2"


def test_no_name_is_near_to_one_that_is_like_none() -> None:
    assert nearest("colour", ("heartbeat",)) == ""


@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        ("amqp://h", ["amqp://h"]),
        ("amqp://a,b", ["amqp://a", "amqp://b"]),
        (
            "amqps://u:p,q@a:1,[::1]:2/v,w?cafile=x,y",
            ["amqps://u:p,q@a:1/v,w?cafile=x,y", "amqps://u:p,q@[::1]:2/v,w?cafile=x,y"],
        ),
    ],
)
def test_each_host_has_the_login_and_the_options(address: str, hosts: list[str]) -> None:
    assert list(one_by_one(address)) == hosts


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("amqps://u:hush@a:1,b:2/v?cafile=x", "amqps://***@a:1,b:2"),
        ("mongodb://a,b/?replicaSet=rs0", "mongodb://a,b"),
    ],
)
def test_hosts_are_shown_without_the_login(address: str, said: str) -> None:
    assert shown(address) == said
