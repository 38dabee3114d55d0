"""No part of a credential in what is printed or logged, however odd it is and whatever fails.

`run` meets a broker that it does not trust: its certificate is of an unknown authority.
"""

from __future__ import annotations

import json
import logging
import socketserver
import ssl
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import structlog
import trustme
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.cli.test_config_command import run
from worker.settings.redaction import RUN
from worker.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

ALPHABET = st.sampled_from("gehimnisZ0189#/?@:%&=+[]\\ ;,.'\"{}\n\t\r\x01\x7fé\u2028\ufeff")
ODD = st.text(ALPHABET, min_size=8, max_size=24)
PLACES = {
    "AMQP_URL": "amqp://worker:{}@127.0.0.1:1/",
    "MONGO_URL": "mongodb://worker:{}@127.0.0.1:1/?replicaSet=rs0",
    "SMS_HASH_KEY": "{}",
    "SMS_TARGET__SECRET": "{}",
    "SMS_TARGET__REPORT_TOKEN": "{}",
    "SMS_LEGACY__SECRET": "{}",
    "SMS_LEGACY__PARAMETERS": "{}",
    "SMS_LEGACY__BASE_URL": "https://acme:{}@gw.example",
    "SMS_SMTP__PASSWORD": "{}",
    "SMS_TARGET": "{}",
    "SMS_WEBHOOK_TOKENS": '{{"{}": "legacy"}}',
}
UNTRUSTED = "its certificate is not trusted, or is for another host"
LEAST = {"AMQP_URL": "amqp://worker:w@127.0.0.1:1/", "MONGO_URL": "mongodb://127.0.0.1:1/"}


@pytest.fixture(scope="module")
def untrusted() -> Iterator[int]:
    """Port of a server with a certificate that nobody vouches for."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    class Handshake(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the client refuses us
                context.wrap_socket(self.request, server_side=True)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handshake) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join()


def few(examples: int) -> settings:
    """Few examples, for each is a whole command."""
    fixture = HealthCheck.function_scoped_fixture
    return settings(max_examples=examples, deadline=None, suppress_health_check=[fixture])


@pytest.fixture
def logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The logs as they were; each run within has an output of its own, so no logger is kept."""
    configure = structlog.configure
    monkeypatch.setattr(
        structlog,
        "configure",
        lambda **how: configure(**how | {"cache_logger_on_first_use": False}),
    )
    root = logging.getLogger()
    handlers, level, hook, thread_hook = (
        root.handlers, root.level, sys.excepthook, threading.excepthook,
    )  # fmt: skip
    yield
    root.handlers, root.level, sys.excepthook = handlers, level, hook
    threading.excepthook = thread_hook
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def shown(result: Result, secret: str) -> list[str]:
    """Parts of the secret, in any form, that stand in the output."""
    forms = {secret, quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    parts = {form[at : at + RUN] for form in forms for at in range(len(form) - RUN + 1)}
    return sorted(part for part in parts if part in result.output)


@few(30)
@given(secret=ODD, names=st.sets(st.sampled_from(sorted(PLACES)), min_size=1))
def test_the_check_shows_no_part_of_a_credential(secret: str, names: set[str]) -> None:
    result = run("check-config", **LEAST | {name: PLACES[name].format(secret) for name in names})
    assert result.exit_code in (0, 2), result.exception
    assert shown(result, secret) == []


@pytest.mark.usefixtures("logging_as_before")
@few(12)
@given(secret=ODD, name=st.sampled_from(["AMQP_URL", "SMS_HASH_KEY", "SMS_TARGET__SECRET"]))
@example(secret="geheimnis#x", name="AMQP_URL")
@example(secret="geheimnis@x", name="AMQP_URL")
@example(secret="geheimnis", name="AMQP_URL")
def test_a_run_that_cannot_start_shows_no_part_of_a_credential(
    untrusted: int, secret: str, name: str
) -> None:
    given = {"AMQP_URL": "amqp://worker:w@127.0.0.1:1/", name: PLACES[name].format(secret)}
    address = given["AMQP_URL"].replace("amqp:", "amqps:").replace(":1/", f":{untrusted}/")
    result = run("run", **LEAST | given | {"AMQP_URL": address})
    assert result.exit_code in (1, 2), result.exception
    assert shown(result, secret) == []


@pytest.mark.usefixtures("logging_as_before")
def test_a_run_that_does_not_trust_its_broker_ends_by_naming_its_address(untrusted: int) -> None:
    address = f"amqps://worker:geheimnis@127.0.0.1:{untrusted}/"
    result = run("run", **LEAST | {"AMQP_URL": address})
    last = json.loads(result.stdout.splitlines()[-1])
    assert result.exit_code == 1
    assert (last["event"], last["problem"]) == (
        "cannot start",
        f"AMQP_URL: broker at 127.0.0.1:{untrusted}: {UNTRUSTED}",
    )
    assert "exception" not in last


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.parametrize("secret", ["geheimnis#x", "per%cent/x", "a@b:c?d&e"])
def test_what_a_library_says_of_a_credential_is_hidden(
    secret: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    logs.configure("info", "r", secrets=[secret])
    log = structlog.get_logger()
    try:
        try:
            int(secret)
        except ValueError as error:
            raise RuntimeError(f"chained: {quote(secret)}") from error
    except RuntimeError:
        log.exception("x", detail=secret, nested={"list": [f"<{secret}>"]})
    logging.getLogger("some.library").error("cannot use %r", secret)
    failing = threading.Thread(target=int, args=(secret,))
    failing.start()
    failing.join()
    sys.excepthook(ValueError, ValueError(secret), None)
    out, err = capfdbinary.readouterr()
    assert out.count(b"\n") == 4
    assert err == b""
    assert not any(form in out.decode() for form in (secret, quote(secret), secret[:RUN]))
