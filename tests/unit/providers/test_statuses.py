"""HTTP statuses that say that a request was not processed, for every adapter alike."""

from __future__ import annotations

from functools import cache

import pytest

from tests.support.fakes import HandClock
from worker.domain.messages.outcome import AccountFault, Blame, NotSent, Outcome, Refused, Unknown
from worker.providers import africastalking_answers, gateway_answers
from worker.providers.answer import Answer, account_health
from worker.providers.breaker import Mark
from worker.providers.guard import mark_of
from worker.providers.preset import Preset, load, shipped
from worker.providers.refusals import RefusalWatch
from worker.providers.statuses import NOT_PROCESSED, by_status

TO = "+260977123456"
BODIES = [b"", b"<html>moved</html>", b"{", b"[]", b'{"error":"x"}', b"\xff\xfe"]
ADDRESS = [301, 302, 307, 308, 404, 405, 410, 421]
NO_PROOF = [100, 200, 201, 202, 204, 206, 300, 303, 304, 306, 402, 406, 408, 409, 416, 418, 423]
NO_PROOF += [424, 444, 499, 500, 502, 503, 504, 507, 508, 520, 599, 999]


def by_africastalking(answer: Answer) -> Outcome:
    return africastalking_answers.classify(answer, to=TO, own_sender=False)


@cache
def presets() -> list[Preset]:
    return [load(name) for name in shipped()]


def at_every_adapter(answer: Answer) -> list[Outcome]:
    by_presets = [gateway_answers.classify(answer, each, own_sender=False) for each in presets()]
    return [by_africastalking(answer), *by_presets]


@pytest.mark.parametrize("status", sorted(NOT_PROCESSED))
@pytest.mark.parametrize("body", BODIES)
def test_a_status_of_the_table_is_proof_at_every_adapter(status: int, body: bytes) -> None:
    outcomes = at_every_adapter(Answer(status, {}, body))
    assert {type(outcome) for outcome in outcomes} == {NotSent}
    assert {outcome.code for outcome in outcomes} == {f"http_{status}"}


@pytest.mark.parametrize("status", NO_PROOF)
@pytest.mark.parametrize("body", BODIES)
def test_a_status_outside_of_the_table_proves_nothing(status: int, body: bytes) -> None:
    outcomes = at_every_adapter(Answer(status, {}, body))
    assert {type(outcome) for outcome in outcomes} == {Unknown}


@pytest.mark.parametrize("status", ADDRESS)
def test_a_wrong_address_is_a_fault_of_the_account(status: int) -> None:
    outcome = by_status(Answer(status, {"location": f"https://{TO}.example"}, b""), "")
    assert isinstance(outcome, NotSent)
    assert (outcome.blame, outcome.account_fault) == (Blame.ACCOUNT, AccountFault.ADDRESS)
    assert TO not in outcome.reason


@pytest.mark.parametrize("status", [400, 413, 414, 422, 431, 451])
def test_what_a_publisher_may_have_caused_opens_no_breaker(status: int) -> None:
    bodies = [*BODIES, b'{"error":{"code":"invalid_request"}}']
    outcomes = [each for body in bodies for each in at_every_adapter(Answer(status, {}, body))]
    assert {mark_of(outcome) for outcome in outcomes} == {Mark.IGNORED}


def test_an_account_where_every_request_is_refused_as_malformed_is_told() -> None:
    told: list[str] = []
    watch = RefusalWatch("target", HandClock(), lambda *what: told.append(what[1]))
    for _ in range(3):
        watch.note(by_africastalking(Answer(400, {}, b"Request is malformed")))
    assert told == ["http_400"]


def test_what_the_preset_says_of_a_status_goes_first() -> None:
    preset = Preset.model_validate(
        {
            "name": "x",
            "send": {"method": "POST", "url": "{base_url}/"},
            "rules": [
                {"status": [200], "regex": "OK", "verdict": "accepted"},
                {"status": [404], "verdict": "unknown"},
                {"status": [414], "verdict": "refused"},
                {"status": [500], "verdict": "not_sent"},
            ],
        }
    )
    found = [
        type(gateway_answers.classify(Answer(status, {}, b""), preset, own_sender=False))
        for status in (404, 414, 500, 405)
    ]
    assert found == [Unknown, Refused, NotSent, NotSent]


def test_a_503_is_unknown_and_its_pause_is_kept() -> None:
    paused = by_status(Answer(503, {"retry-after": "20"}, b""), "x")
    assert paused == Unknown("http_503", "x", slow_down_s=20.0)
    assert by_status(Answer(503, {}, b""), "x") == Unknown("http_503", "x")


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (401, AccountFault.AUTHENTICATION),
        (403, AccountFault.AUTHENTICATION),
        (301, AccountFault.ADDRESS),
        (404, AccountFault.ADDRESS),
        (500, None),
        (400, None),
    ],
)
def test_the_account_call_says_which_fault_it_met(status: int, fault: AccountFault | None) -> None:
    health = account_health(Answer(status, {}, b""), None)
    assert (health.ok, health.fault) == (False, fault)
