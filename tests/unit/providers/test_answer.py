"""Reading answers: charsets, JSON as gateways write it, pauses. Whatever the bytes, it ends."""

from __future__ import annotations

import encodings
import gzip
import json
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.domain.messages.outcome import Accepted, Outcome
from worker.providers import africastalking_answers, gateway_answers
from worker.providers.answer import LONGEST_PAUSE_S, Answer, read_id
from worker.providers.preset import Preset, load, shipped
from worker.providers.unpack import TooLongError, unpack

TO = "+260977123456"
JSON = "application/json"


def taken(**more: object) -> dict[str, object]:
    recipient = {"statusCode": 101, "number": TO, "status": "Success", "messageId": "ATXid_1"}
    return {"SMSMessageData": {"Message": "Sent", "Recipients": [recipient | more]}}


def by_africastalking(body: bytes, kind: str = JSON) -> Outcome:
    answer = Answer(201, {"content-type": kind}, body)
    return africastalking_answers.classify(answer, to=TO, own_sender=False)


def by_gateway(body: bytes, kind: str = JSON) -> Outcome:
    answer = Answer(202, {"content-type": kind}, body)
    return gateway_answers.classify(answer, load("json-basic"), own_sender=False)


def documents(text: str) -> list[tuple[object, str]]:
    """An answer of each adapter that repeats a text."""
    gateway = {"id": "LG-1", "status": "accepted", "echo": text}
    ours = taken(echo=text)
    return [(ours, "africastalking"), (gateway, "gateway")]


def outcomes(text: str, charset: str, kind: str, *, raw: bool = False) -> list[Outcome]:
    found = []
    for document, adapter in documents(text):
        body = json.dumps(document, ensure_ascii=False)
        if raw:
            body = body.replace("\\n", "\n").replace("\\t", "\t").replace("\\u0007", "\x07")
        by = by_africastalking if adapter == "africastalking" else by_gateway
        found.append(by(body.encode(charset), kind))
    return found


@pytest.mark.parametrize(
    ("charset", "kind"),
    [
        ("iso-8859-1", f"{JSON}; charset=ISO-8859-1"),
        ("iso-8859-1", f'{JSON};charset="iso-8859-1"; q=1'),
        ("cp1252", f"{JSON}; Charset = windows-1252"),
        ("utf-16-le", f"{JSON}; charset=utf-16le"),
        ("utf-16", JSON),
        ("utf-32", JSON),
        ("utf-8-sig", JSON),
        ("utf-16-le", JSON),
        ("utf-16-be", JSON),
        ("utf-32-le", JSON),
        ("utf-32-be", JSON),
        ("utf-16-be", f"{JSON}; charset=utf-16"),
        ("utf-16-le", f"{JSON}; charset=utf-8"),
        ("utf-16-le", f"{JSON}; charset=iso-8859-1"),
        ("utf-8", f"{JSON}; charset=utf-16"),
        ("utf-8", f"{JSON}; charset=utf8mb4"),
        ("iso-8859-1", JSON),
        ("iso-8859-1", f"{JSON}; charset=no-such-charset"),
        ("iso-8859-1", f"{JSON}; charset=hex"),
        ("iso-8859-1", f"{JSON}; charset=idna"),
        ("iso-8859-1", f"{JSON}; charset=undefined"),
        ("iso-8859-1", f"{JSON}; charset=utf-8"),
        ("iso-8859-1", f"{JSON}; charset="),
    ],
)
def test_an_accepted_sms_is_read_in_any_charset(charset: str, kind: str) -> None:
    for outcome in outcomes("Déjà vu", charset, kind):
        assert isinstance(outcome, Accepted)
        assert outcome.provider_message_id in {"ATXid_1", "LG-1"}


def test_the_declared_charset_is_used() -> None:
    answer = Answer(
        200, {"content-type": "text/plain; charset=iso-8859-1"}, "Déjà".encode("latin-1")
    )
    assert answer.text() == "Déjà"


@pytest.mark.parametrize(
    "charset", ["unicode_escape", "raw_unicode_escape", "utf-7", "idna", "punycode", "charmap"]
)
def test_a_codec_that_is_no_charset_is_not_used(charset: str) -> None:
    kind = f"text/plain; charset={charset}"
    body = rb"\x41+2AA-" + b"\xff"
    assert Answer(200, {"content-type": kind}, body).text() == "\\x41+2AA-\ufffd"


def test_a_name_from_outside_does_not_reach_the_registry_of_codecs() -> None:
    before = len(encodings._cache)
    for number in range(10):
        Answer(200, {"content-type": f"text/plain; charset=x-odd-{number}"}, b"\xff").text()
    assert len(encodings._cache) == before


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"it\'s", r"it\'s"),
        (r"\x41", r"\x41"),
        (r"a\0b", r"a\0b"),
        (r"\u12", r"\u12"),
        (r"\U0041", r"\U0041"),
        (r"a\ b", r"a\ b"),
        (r"C:\\new \d", r"C:\new \d"),
        (r"\\'\'", r"\'\'"),
        (r"\"\'\n\u0041", "\"\\'\nA"),
    ],
)
def test_a_backslash_that_begins_no_escape_stands_for_itself(written: str, read: str) -> None:
    echoed = json.dumps(taken(echo="?")).replace("?", written).encode()
    assert isinstance(by_africastalking(echoed), Accepted)
    body = f'{{"status":"accepted","id":"LG-1","text":"{written}"}}'.encode()
    assert isinstance(by_gateway(body), Accepted)
    assert Answer(202, {}, body).json()["text"] == read


@pytest.mark.parametrize("text", ["two\nlines", "a\tb", "bell\x07", "a\r\nb"])
def test_control_characters_within_a_string_do_no_harm(text: str) -> None:
    for outcome in outcomes(text, "utf-8", JSON, raw=True):
        assert isinstance(outcome, Accepted)


@pytest.mark.parametrize(
    "around", [b"\r\n%b\r\n", b"%b\x00", b"\x00\x00%b", b"\x00%b\x00", b"%b\x1a"]
)
def test_what_stands_around_a_document_does_no_harm(around: bytes) -> None:
    body = around.replace(b"%b", json.dumps(taken()).encode())
    assert isinstance(by_africastalking(body), Accepted)


@pytest.mark.parametrize(
    "extra",
    [
        "1" * 5000,
        f"-{'9' * 100}",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        '"\\ud800"',
        "[" * 200 + "]" * 200,
    ],
    ids=lambda extra: extra[:12],
)
def test_a_value_beyond_all_bounds_beside_it_does_no_harm(extra: str) -> None:
    body = json.dumps(taken(extra="?")).replace('"?"', extra).encode()
    assert isinstance(by_africastalking(body), Accepted)


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("ATXid_1", "ATXid_1"),
        (" 17 ", "17"),
        (17, "17"),
        (12345678901234567890123, "12345678901234567890123"),
        ("", None),
        (None, None),
        (True, None),
        ([], None),
        ("\ud800", None),
        ("a\nb", None),
        ("x" * 201, None),
    ],
)
def test_an_id_is_one_that_can_be_stored(raw: object, read: str | None) -> None:
    assert read_id(raw) == read


@pytest.mark.parametrize("message_id", ["\ud800", "a\x00b", "x" * 5000])
def test_an_id_that_cannot_be_stored_is_left_out_and_the_sms_is_accepted(message_id: str) -> None:
    outcome = by_africastalking(json.dumps(taken(messageId=message_id)).encode())
    assert isinstance(outcome, Accepted)
    assert outcome.provider_message_id is None


# --- Retry-After -----------------------------------------------------------------------------

NOW = datetime(2026, 11, 26, 8, 59, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "pause_s"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("0.5", 0.5),
        ("Thu, 26 Nov 2026 09:00:00 GMT", 60.0),
        ("Thursday, 26-Nov-26 09:00:00 GMT", 60.0),
        ("Thu Nov 26 09:00:00 2026", 60.0),
        ("Thu, 26 Nov 2026 11:00:00 +0200", 60.0),
        ("Thu, 26 Nov 2020 09:00:00 GMT", 1.0),
        ("Thu, 26 Nov 9999 09:00:00 GMT", LONGEST_PAUSE_S),
        ("99999999999999", LONGEST_PAUSE_S),
        ("9" * 20, LONGEST_PAUSE_S),
        ("9" * 5000, LONGEST_PAUSE_S),
        ("0" * 20 + "7", 7.0),
        ("7.00000", 7.0),
        ("Thu, 99 Nov 99999 99:99:99 GMT", 1.0),
        ("Thu, 26 Nov 2026 09:00:00 +999999999", 1.0),
        ("-3", 1.0),
        ("NaN", 1.0),
        ("soon", 1.0),
        ("", 1.0),
    ],
)
def test_a_pause_is_asked_for_in_seconds_or_by_a_date(header: str, pause_s: float) -> None:
    assert Answer(429, {"retry-after": header}, b"").pause_s(NOW) == pause_s


def test_a_date_is_compared_with_the_servers_own_clock() -> None:
    headers = {
        "retry-after": format_datetime(NOW + timedelta(seconds=30)),
        "date": format_datetime(NOW),
    }
    assert Answer(429, headers, b"").pause_s() == 30.0


def test_without_the_servers_clock_ours_is_used() -> None:
    headers = {"retry-after": format_datetime(datetime.now(UTC) + timedelta(minutes=10))}
    assert 590 < Answer(429, headers, b"").pause_s() <= 600


# --- totality --------------------------------------------------------------------------------


@cache
def presets() -> list[Preset]:
    return [load(name) for name in shipped()]


HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "retry-after", "date"]),
    st.text(max_size=40)
    | st.sampled_from([f"x; charset={name}" for name in ("utf-7", "utf-16", "punycode", "zip")]),
)
NAMES = [
    "SMSMessageData",
    "Recipients",
    "statusCode",
    "number",
    "messageId",
    "cost",
    "status",
    "id",
]
WILD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.floats()
    | st.text(st.characters(), max_size=12)
    | st.sampled_from(["\ud800", "accepted", "Success", TO, "None", "0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "SMSMessageData",
                    "Recipients",
                    "statusCode",
                    "number",
                    "messageId",
                    "cost",
                    "status",
                    "id",
                ]
            ),
            inner,
        )
    ),
    max_leaves=8,
)
BODIES = st.binary(max_size=80) | WILD.map(lambda document: json.dumps(document).encode())


@given(status=st.integers(100, 999), headers=HEADERS, body=BODIES)
def test_no_answer_raises_and_every_outcome_can_be_stored(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    answer = Answer(status, headers, body)
    found = [africastalking_answers.classify(answer, to=TO, own_sender=True)]
    found += [gateway_answers.classify(answer, each, own_sender=True) for each in presets()]
    for outcome in found:
        named = getattr(outcome, "provider_message_id", None)
        (named or "").encode()
        assert len(named or "") <= 200
    africastalking_answers.read_balance(answer)
    for each in presets():
        gateway_answers.read_balance(answer, each)


@given(st.binary(max_size=300), st.text(max_size=20) | st.sampled_from(["gzip", "deflate"]))
@example(b"Z\xb0`\xc1\x81Q\x00", "deflate")
def test_unpacking_never_fails_and_is_bounded(body: bytes, codings: str) -> None:
    for packed in (body, gzip.compress(body), gzip.compress(body)[:-3], zlib.compress(body)):
        try:
            assert len(unpack(packed, codings, 200)) <= max(200, len(packed))
        except TooLongError:
            bare = zlib.decompressobj(-zlib.MAX_WBITS)  # a few octets can be a long run of one
            assert len(body) > 200 or len(bare.decompress(packed)) > 200


def test_members_of_a_gzip_file_are_put_together() -> None:
    assert unpack(gzip.compress(b"a") + gzip.compress(b"b") + b"junk", "gzip", 100) == b"ab"
