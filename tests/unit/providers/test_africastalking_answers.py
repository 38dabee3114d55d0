"""The provider's status codes and statuses, row by row."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.messages.message import Delivery
from worker.domain.messages.outcome import (
    Accepted,
    AccountFault,
    Blame,
    Money,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from worker.domain.messages.receipts import DeliveryReport, OptOut
from worker.providers.africastalking_answers import (
    NAMES,
    SUCCESS,
    classify,
    read_balance,
    read_delivery,
    read_optout,
)
from worker.providers.answer import Answer, account_health

TO = "+260977123456"


def answer(status: int, body: object, headers: dict[str, str] | None = None) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, headers or {}, raw)


def recipient(code: object, **changes: object) -> dict[str, object]:
    failed = {
        "statusCode": code,
        "number": TO,
        "status": NAMES.get(code, "Success") if isinstance(code, int) else "Success",
        "cost": "0",
        "messageId": "None",
    }
    return failed | changes


def data(*recipients: object, message: str = "Sent to 0/1 Total Cost: 0") -> dict[str, object]:
    return {"SMSMessageData": {"Message": message, "Recipients": list(recipients)}}


def outcome(status: int, body: object, *, own_sender: bool = False, **headers: str) -> Outcome:
    return classify(answer(status, body, headers), to=TO, own_sender=own_sender)


@pytest.mark.parametrize("code", sorted(SUCCESS))
def test_success_codes_are_accepted_with_id_cost_and_parts(code: int) -> None:
    taken = recipient(code, status="Success", cost="KES 0.8000", messageId="ATXid_1")
    assert outcome(201, data(taken | {"messageParts": 2})) == Accepted(
        "ATXid_1", Money(Decimal("0.8000"), "KES"), 2, str(code)
    )


@pytest.mark.parametrize("field", ["messageId", "cost", "statusCode", "number"])
def test_a_number_too_long_to_be_read_is_not_as_good_as_none(field: str) -> None:
    refused = recipient(None, status="InvalidSenderId", number=TO) | {field: 10**45}
    assert isinstance(outcome(201, data(refused)), Unknown)


def test_recipients_that_are_no_list_but_a_long_number_prove_nothing() -> None:
    body = {"SMSMessageData": {"Message": "Sent to 0/1 Total Cost: 0", "Recipients": 10**45}}
    assert isinstance(outcome(201, body), Unknown)


def test_parts_and_cost_may_be_missing() -> None:
    taken = recipient(101, status="Success", messageId="ATXid_1")
    assert outcome(201, data(taken)) == Accepted("ATXid_1", None, None, "101")


REFUSALS = [
    (401, False, Unknown("401", "RiskHold")),
    (402, True, NotSent(Blame.MESSAGE, "402", "InvalidSenderId")),
    (
        402,
        False,
        NotSent(Blame.ACCOUNT, "402", "InvalidSenderId", account_fault=AccountFault.SENDER),
    ),
    (403, False, NotSent(Blame.RECIPIENT, "403", "InvalidPhoneNumber")),
    (404, False, NotSent(Blame.RECIPIENT, "404", "UnsupportedNumberType")),
    (
        405,
        False,
        NotSent(Blame.ACCOUNT, "405", "InsufficientBalance", account_fault=AccountFault.BALANCE),
    ),
    (406, False, Refused("406", "UserInBlacklist", opted_out=True)),
    (407, False, NotSent(Blame.RECIPIENT, "407", "CouldNotRoute")),
    (408, False, Unknown("408", "status code is not documented")),
    (409, False, Refused("409", "DoNotDisturbRejection")),
    (500, False, NotSent(Blame.PROVIDER, "500", "InternalServerError")),
    (501, False, NotSent(Blame.PROVIDER, "501", "GatewayError")),
    (502, False, NotSent(Blame.PROVIDER, "502", "RejectedByGateway")),
    (999, False, Unknown("999", "status code is not documented")),
]


@pytest.mark.parametrize(("code", "own_sender", "expected"), REFUSALS)
def test_each_status_code_means_what_the_table_says(
    code: int, *, own_sender: bool, expected: Outcome
) -> None:
    assert outcome(201, data(recipient(code)), own_sender=own_sender) == expected


@pytest.mark.parametrize(("code", "own_sender", "expected"), REFUSALS)
def test_a_status_code_may_come_as_text(code: int, *, own_sender: bool, expected: Outcome) -> None:
    body = data(recipient(str(code), status=NAMES.get(code, "")))
    assert outcome(201, body, own_sender=own_sender) == expected


@pytest.mark.parametrize("code", [402, 403, 404, 405, 407, 500, 501, 502])
@pytest.mark.parametrize("sign", [{"messageId": "ATXid_1"}, {"cost": "KES 0.8000"}, {"cost": "?"}])
def test_a_refusal_with_a_sign_of_acceptance_is_no_proof(code: int, sign: dict[str, str]) -> None:
    assert isinstance(outcome(201, data(recipient(code, **sign))), Unknown)


@pytest.mark.parametrize("code", [500, 501, 502])
def test_a_gateway_error_without_a_cost_is_no_proof(code: int) -> None:
    without = {k: v for k, v in recipient(code).items() if k != "cost"}
    assert isinstance(outcome(201, data(without)), Unknown)


@pytest.mark.parametrize("message_id", ["None", "", None])
def test_the_ways_to_say_no_message_id(message_id: str | None) -> None:
    assert isinstance(outcome(201, data(recipient(500, messageId=message_id))), NotSent)


@pytest.mark.parametrize("status", [200, 201, 400, 409, 500, 503])
def test_the_body_decides_whatever_the_http_status_is(status: int) -> None:
    assert outcome(status, data(recipient(409))) == Refused("409", "DoNotDisturbRejection")


UNREADABLE = [103.0, 403.0, "1030000", "1O1", "403.0", "-403", {"v": 101}, [403], True, False, 0]


@pytest.mark.parametrize("code", UNREADABLE)
@pytest.mark.parametrize("status", ["Held", "", "InvalidPhoneNumber", "UserInBlacklist"])
def test_a_status_code_that_cannot_be_read_proves_nothing(code: object, status: str) -> None:
    assert isinstance(outcome(201, data(recipient(code, status=status))), Unknown)


def without_code(**changes: object) -> dict[str, object]:
    found = recipient(None, status="Failed") | changes
    return {name: value for name, value in found.items() if value is not None}


NO_CODES = [
    ({}, NotSent(Blame.PROVIDER, "no_code", "refused without a status code")),
    ({"status": None}, NotSent(Blame.PROVIDER, "no_code", "refused without a status code")),
    ({"cost": "KES 0.0000", "messageId": ""}, NotSent),
    ({"cost": 0, "messageId": None}, NotSent),
    ({"statusCode": "", "messageId": "none"}, NotSent),
    ({"statusCode": " "}, NotSent),
    ({"status": "InvalidPhoneNumber"}, NotSent(Blame.RECIPIENT, "403", "InvalidPhoneNumber")),
    ({"status": "Invalid Phone Number"}, NotSent(Blame.RECIPIENT, "403", "InvalidPhoneNumber")),
    ({"status": "UserInBlacklist"}, Refused("406", "UserInBlacklist", opted_out=True)),
    ({"cost": None}, Unknown),
    ({"cost": "?"}, Unknown),
    ({"cost": "KES 0.80"}, Unknown),
    ({"messageId": "ATXid_1"}, Unknown),
    ({"messageId": ["ATXid_1"]}, Unknown),
    ({"status": "Success"}, Unknown),
    ({"status": "InvalidPhoneNumber", "messageId": "ATXid_1"}, Unknown),
    ({"status": "Success", "messageId": "ATXid_1"}, Accepted("ATXid_1", code="accepted")),
    ({"status": "Sent", "messageId": "ATXid_1", "cost": "KES 0.80"}, Accepted),
    ({"status": None, "messageId": "ATXid_1"}, Unknown),
    ({"statusCode": "1O1", "status": "Success", "messageId": "ATXid_1"}, Unknown),
]


@pytest.mark.parametrize(("changes", "expected"), NO_CODES)
def test_without_a_status_code_the_rest_must_agree(
    changes: dict[str, object], expected: Outcome | type[Outcome]
) -> None:
    found = outcome(201, data(without_code(**changes)))
    if isinstance(expected, type):
        assert isinstance(found, expected)
    elif isinstance(expected, Accepted):
        assert isinstance(found, Accepted)
        assert found.provider_message_id == expected.provider_message_id
    else:
        assert found == expected


@pytest.mark.parametrize("listed", [[], None])
def test_a_refusal_of_the_whole_request_needs_no_list(listed: object) -> None:
    body = {"SMSMessageData": {"Message": "InvalidSenderId", "Recipients": listed}}
    assert outcome(201, body, own_sender=True) == NotSent(Blame.MESSAGE, "402", "InvalidSenderId")


NO_RECIPIENTS = [
    ("InvalidSenderId", True, NotSent),
    ("InvalidSenderId", False, NotSent),
    ("InvalidPhoneNumber", False, NotSent),
    ("InsufficientBalance", False, NotSent),
    ("UserInBlacklist", False, Refused),
    ("CouldNotRoute", False, NotSent),
    ("RiskHold", False, Unknown),
    ("InternalServerError", False, Unknown),
    ("Invalid Sender Id", True, NotSent),
    ("invalidsenderid ", True, NotSent),
    ("USER IN BLACKLIST", False, Refused),
    ("Sent to 0/1 Total Cost: 0", False, NotSent),
    ("Sent to 0/1 Total Cost: KES 0.0000 Message parts: 0", False, NotSent),
    ("sent to 0/1  total cost: 0", False, NotSent),
    ("Sent to 0/1 Total Cost: KES 0.8000", False, Unknown),
    ("Sent to 0/1 Total Cost: ?", False, Unknown),
    ("Sent to 0/1", False, Unknown),
    ("Sent to 1/1 Total Cost: 0", False, Unknown),
    ("Sent to 0/1 Total Cost: 0 Message parts: 1", False, Unknown),
    ("Sent to 0/1 Total Cost: 0, 1 queued", False, Unknown),
    ("", False, Unknown),
]


@pytest.mark.parametrize(("message", "own_sender", "kind"), NO_RECIPIENTS)
def test_empty_recipients_mean_what_the_message_names(
    message: str, *, own_sender: bool, kind: type[Outcome]
) -> None:
    assert isinstance(outcome(201, data(message=message), own_sender=own_sender), kind)


HTTP_STATUSES = [
    (
        401,
        b"The supplied authentication is invalid",
        NotSent(
            Blame.ACCOUNT,
            "http_401",
            "credentials refused",
            account_fault=AccountFault.AUTHENTICATION,
        ),
    ),
    (
        403,
        b"",
        NotSent(
            Blame.ACCOUNT,
            "http_403",
            "credentials refused",
            account_fault=AccountFault.AUTHENTICATION,
        ),
    ),
    (
        400,
        b"Request is missing required form field 'to'",
        NotSent(Blame.MESSAGE, "http_400", "request refused as malformed"),
    ),
    (400, b"InvalidPhoneNumber", NotSent(Blame.RECIPIENT, "http_400", "InvalidPhoneNumber")),
]


@pytest.mark.parametrize(("status", "body", "expected"), HTTP_STATUSES)
def test_a_refusal_of_the_request_is_proof(status: int, body: bytes, expected: Outcome) -> None:
    assert outcome(status, body) == expected


@pytest.mark.parametrize(
    ("header", "pause_s"), [("7", 7.0), ("0.5", 0.5), ("soon", 1.0), ("-3", 1.0), ("", 1.0)]
)
def test_too_many_requests_slows_down_for_as_long_as_asked(header: str, pause_s: float) -> None:
    found = classify(answer(429, b"", {"retry-after": header}), to=TO, own_sender=False)
    assert found == NotSent(Blame.PROVIDER, "http_429", "asked to slow down", slow_down_s=pause_s)


@pytest.mark.parametrize("status", [200, 201, 204, 303, 408, 409, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[]", b'{"SMSMessageData":null}', b"\xff"])
def test_an_answer_that_cannot_be_read_is_unknown(status: int, body: bytes) -> None:
    assert isinstance(outcome(status, body), Unknown)


@pytest.mark.parametrize(
    "recipients",
    [
        [recipient(101, number="+260966000000")],
        [recipient(101, number=None)],
        [recipient(101), recipient(101)],
        [recipient(403, number="+260966000000")],
        ["text"],
        [None],
    ],
)
def test_an_answer_about_others_is_unknown(recipients: list[object]) -> None:
    assert isinstance(outcome(201, data(*recipients)), Unknown)


@pytest.mark.parametrize(
    "number",
    [
        TO,
        "260977123456",
        260977123456,
        "0977123456",
        "097 712-3456",
        "977123456",
        977123456,
        "00260977123456",
        "+260 (0) 977 123 456",
    ],
)
def test_our_recipient_is_found_however_its_number_is_written(number: object) -> None:
    assert isinstance(outcome(201, data(recipient(101, number=number))), Accepted)


@pytest.mark.parametrize(
    "number",
    [
        "0977123457",
        "77123456",
        "097712345",
        "+26097712345X",
        "+254977123456",
        "254977123456",
        "+2600977123456789",
        "09771234560",
        "10977123456",
        "+0977123456",
        10**400,
        True,
        "",
    ],
    ids=lambda number: str(number)[:20],
)
def test_a_number_that_is_not_ours_in_any_form_is_of_another(number: object) -> None:
    assert isinstance(outcome(201, data(recipient(403, number=number))), Unknown)


def test_our_recipient_is_found_among_others() -> None:
    body = data(recipient(403, number="+260966000000"), recipient(101))
    assert isinstance(outcome(201, body), Accepted)


@pytest.mark.parametrize("code", [True, 101.0, None, [101], "1O1", "101.0", -101, 10**30])
def test_a_success_code_is_a_number(code: object) -> None:
    assert not isinstance(outcome(201, data(recipient(code))), Accepted)


def test_a_success_code_with_the_name_of_a_failure_is_unknown() -> None:
    assert isinstance(outcome(201, data(recipient(101, status="InvalidPhoneNumber"))), Unknown)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["None", "KES 1.0", "0", TO, "Success", "sNaN", "Infinity"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
recipients = st.fixed_dictionaries(
    {},
    optional={
        "statusCode": st.sampled_from([*SUCCESS, *NAMES, 408]) | values,
        "number": st.just(TO) | values,
        "status": values,
        "cost": values,
        "messageId": values,
        "messageParts": values,
    },
)
documents = values | st.fixed_dictionaries(
    {},
    optional={
        "SMSMessageData": values
        | st.fixed_dictionaries(
            {}, optional={"Message": values, "Recipients": st.lists(recipients | values) | values}
        )
    },
)
bodies = st.binary(max_size=80) | documents.map(lambda document: json.dumps(document).encode())


@given(status=st.integers(100, 599), body=bodies, own_sender=st.booleans())
def test_any_bytes_are_an_outcome_and_accepted_needs_a_success(
    status: int, body: bytes, *, own_sender: bool
) -> None:
    found = outcome(status, body, own_sender=own_sender)
    assert isinstance(found, Accepted | Refused | NotSent | Unknown)
    if isinstance(found, Accepted):
        listed = [
            e for e in json.loads(body)["SMSMessageData"]["Recipients"] if isinstance(e, dict)
        ]
        codes = {str(e.get("statusCode")) for e in listed} & {str(code) for code in SUCCESS}
        named = any(e.get("statusCode") is None and e.get("status") == "Success" for e in listed)
        assert found.code in codes or (named and found.code == "accepted")


def test_deeply_nested_json_is_an_outcome() -> None:
    assert isinstance(outcome(201, b"[" * 60_000), Unknown)


STATUSES = [
    ("Sent", Delivery.SUBMITTED),
    ("Submitted", Delivery.SUBMITTED),
    ("Buffered", Delivery.SUBMITTED),
    ("Success", Delivery.DELIVERED),
    ("Rejected", Delivery.UNDELIVERED),
    ("Failed", Delivery.UNDELIVERED),
    ("AbsentSubscriber", Delivery.UNDELIVERED),
    ("Expired", Delivery.UNDELIVERED),
    ("Teleported", None),
    ("", None),
]


@pytest.mark.parametrize(("status", "delivery"), STATUSES)
def test_each_report_status_means_what_the_table_says(
    status: str, delivery: Delivery | None
) -> None:
    fields = {
        "id": "ATXid_1",
        "status": status,
        "phoneNumber": " 260977123456 ",
        "networkCode": "64501",
        "failureReason": "DeliveryFailure",
    }
    assert read_delivery("target", fields) == DeliveryReport(
        provider="target",
        delivery=delivery,
        status=status,
        provider_message_id="ATXid_1",
        to="260977123456",  # as written: the plan that reads numbers of commands reads it
        reason="DeliveryFailure",
        network_code="64501",
    )


@pytest.mark.parametrize(
    ("reason", "opted_out"),
    [
        ("UserInBlackList", True),
        ("UserInBlacklist", True),
        (" userinblacklist ", True),
        ("UserDoesNotExist", False),
        ("", False),
    ],
)
def test_a_report_that_names_the_blacklist_tells_of_an_opt_out(
    reason: str, *, opted_out: bool
) -> None:
    fields = {"id": "ATXid_1", "status": "Rejected", "failureReason": reason}
    assert read_delivery("target", fields).opted_out is opted_out


def test_a_report_about_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="got neither"):
        read_delivery("target", {"status": "Success", "phoneNumber": " "})


@pytest.mark.parametrize(("given", "sender_id"), [("LENDER", "LENDER"), (" ", None)])
def test_an_opt_out_names_number_and_sender(given: str, sender_id: str | None) -> None:
    fields = {"phoneNumber": " 0977123456", "senderId": given}
    assert read_optout("target", fields) == OptOut("target", "0977123456", sender_id)


def test_an_opt_out_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="phoneNumber"):
        read_optout("target", {"senderId": "LENDER"})


HEALTH = [
    (200, {"UserData": {"balance": "KES 1785.50"}}, True, None),
    (200, {"userData": {"balance": "KES 1785.50"}}, True, None),
    (200, {"UserData": {"balance": "KES 0.0000"}}, False, AccountFault.BALANCE),
    (200, {"UserData": {}}, False, None),
    (200, [], False, None),
    (401, "The supplied authentication is invalid", False, AccountFault.AUTHENTICATION),
    (503, "", False, None),
]


@pytest.mark.parametrize(("status", "body", "ok", "fault"), HEALTH)
def test_the_account_call_says_balance_or_fault(
    status: int, body: object, *, ok: bool, fault: AccountFault | None
) -> None:
    found = answer(status, body)
    health = account_health(found, read_balance(found))
    assert (health.ok, health.fault) == (ok, fault)
