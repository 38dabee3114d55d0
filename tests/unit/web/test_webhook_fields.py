"""Callbacks of every shape become flat maps, one for each report, or are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.reports import MAX_NAME
from tests.unit.web.webhook_bodies import FORM, JSON, LATIN, one, reports
from worker.providers.charsets import _KNOWN, declared
from worker.web.fields import read
from worker.web.malformed import MalformedError

MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="id"\r\n\r\nm-1\r\n'
    b'--x\r\nContent-Disposition: form-data; name="status"\r\n\r\na=b&c\r\n--x--\r\n'
)


def test_form_of_africas_talking() -> None:
    body = b"id=ATXid_1&status=Success&phoneNumber=%2B260977123456&networkCode=64501"
    assert one(b"", f"{FORM}; charset=utf-8", body) == {
        "id": "ATXid_1",
        "status": "Success",
        "phoneNumber": "+260977123456",
        "networkCode": "64501",
    }


def test_query_of_kannel() -> None:
    assert one(b"id=m-1&epoch=2&type=1&smsc=ACK%2F", "", b"") == {
        "id": "m-1",
        "epoch": "2",
        "type": "1",
        "smsc": "ACK/",
    }


def test_json_numbers_keep_their_spelling() -> None:
    assert one(b"", JSON, b'{"cost": 0.80, "id": 123456789012345678901234567890, "n": NaN}') == {
        "cost": "0.80",
        "id": "123456789012345678901234567890",
        "n": "NaN",
    }


def test_query_and_body_are_merged_and_the_query_wins() -> None:
    assert one(b"id=ours&epoch=1", FORM, b"id=theirs&status=ok") == {
        "id": "ours",
        "epoch": "1",
        "status": "ok",
    }


@pytest.mark.parametrize(
    ("query", "body"),
    [(b"a=1&b=2&a=1", b""), (b"", b"a=1&b=2&a=1"), (b"", b'{"a": "1", "b": "2", "a": "1"}')],
)
def test_a_name_given_twice_with_the_same_value_is_one_field(query: bytes, body: bytes) -> None:
    assert one(query, "", body) == {"a": "1", "b": "2"}


def test_empty_values_are_kept() -> None:
    assert one(b"", FORM, b"failureReason=&status=ok") == {"failureReason": "", "status": "ok"}


# --- octets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "media_type", "body", "reason"),
    [
        (b"", FORM, b"id=1&reason=caf%E9", "caf\ufffd"),
        (b"", FORM, b"id=1&reason=caf\xe9", "caf\ufffd"),
        (b"id=1&reason=caf%E9", "", b"", "caf\ufffd"),
        (b"", FORM, "id=1&reason=café".encode(), "café"),
        (b"", LATIN, b"id=1&reason=caf%E9", "café"),
        (b"", LATIN, b"id=1&reason=caf\xe9", "café"),
        (b"", f'{FORM};CHARSET="windows-1252"', b"id=1&reason=%80", "\u20ac"),
        (b"", f"{FORM}; charset=klingon", b"id=1&reason=caf%C3%A9", "café"),
        (b"", f"{FORM}; charset=unicode_escape", b"id=1&reason=%5Cn", "\\n"),
        (b"", JSON, b'{"id": 1, "reason": "caf\xe9"}', "caf\ufffd"),
        (b"", f"{JSON}; charset=latin1", b'{"id": 1, "reason": "caf\xe9"}', "café"),
        (b"", JSON, '{"id": 1, "reason": "café"}'.encode("utf-16"), "café"),
        (b"", JSON, '{"id": 1, "reason": "café"}'.encode("utf-16-le"), "café"),
        (b"", f"{JSON}; charset=utf-16", '{"id": 1, "reason": "é"}'.encode("utf-16"), "é"),
        (b"", JSON, b'\xef\xbb\xbf{"id": 1, "reason": "x"}', "x"),
        (b"", FORM, b"\xef\xbb\xbfid=1&reason=x", "x"),
        (b"", JSON, b'{"id": 1, "reason": "a\nb\tc"}', "a\nb\tc"),
        (b"", JSON, b'{"id": 1, "reason": "a\x00b\\u0007"}', "a\ufffdb\ufffd"),
        (b"", JSON, b'{"id": 1, "reason": "\\ud83d"}', "\ufffd"),
        (b"", JSON, b'{"id": 1, "reason": "\\ud83d\\ude00"}', "\U0001f600"),
        (b"", FORM, b"id=1&reason=a%00b", "a\ufffdb"),
        (b"", FORM, b"id=1&reason=a%zzb%", "a%zzb%"),
    ],
)
def test_what_is_wrong_with_one_field_spoils_that_field_alone(
    query: bytes, media_type: str, body: bytes, reason: str
) -> None:
    assert one(query, media_type, body) == {"id": "1", "reason": reason}


@pytest.mark.parametrize(
    "body",
    [
        b'{"": 1, "id": "1"}',
        b'{"a\\n": 1, "id": "1"}',
        b'{"\\ud800": 1, "id": "1"}',
        b'{"id": "1", "' + b"x" * (MAX_NAME + 1) + b'": 1}',
        b"=x&id=1",
        b"&&id=1&",
    ],
)
def test_a_field_without_a_usable_name_is_left_out(body: bytes) -> None:
    assert one(b"", FORM, body) == {"id": "1"}


@settings(max_examples=50)
@given(st.from_regex(_KNOWN, fullmatch=True))
def test_every_charset_that_is_let_through_exists(name: str) -> None:
    charset = declared(f"text/plain; charset={name}")
    assert charset is not None
    assert "x".encode(charset).decode(charset) == "x"


# --- what it is, not what it is called ---------------------------------------------------------


@pytest.mark.parametrize(
    "media_type",
    ["", FORM, JSON, "text/plain", "text/json", "a/vnd.x+json; v=1", "multipart/form-data"],
)
@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "m-1", "status": "a=b&c"}',
        b' \r\n{"status": "a=b&c", "id": "m-1"}\r\n\0',
        b"id=m-1&status=a%3Db%26c",
        b"\r\nid=m-1&status=a=b%26c\r\n",
        b"%7B%22id%22%3A%22m-1%22%2C%22status%22%3A%22a%3Db%26c%22%7D=",
        MULTIPART,
    ],
    ids=["json", "json-blanks", "form", "form-blanks", "json-as-form", "multipart"],
)
def test_a_body_is_read_by_what_it_is(media_type: str, body: bytes) -> None:
    assert one(b"", media_type, body) == {"id": "m-1", "status": "a=b&c"}


def test_parts_of_a_multipart_body_are_read_in_all_their_spellings() -> None:
    body = (
        b"------WebKit\n"
        b"content-type: text/plain; charset=latin1\ncontent-disposition: form-data;name=a\n\n\xe9\n"
        b'------WebKit\nContent-Disposition: form-data; name="f"; filename="x"\n\nline\n\nline\n'
        b'------WebKit\nContent-Disposition: form-data; name="mid"\n\na------WebKit\n'
        b'------WebKit\nContent-Disposition: form-data; name="empty"\n\n\n'
        b"------WebKit\n\nno headers\n"
        b"------WebKit--"
    )
    beside = {"f": "line\n\nline", "mid": "a------WebKit", "empty": ""}
    assert one(b"", "multipart/form-data", body) == {"a": "\xe9", **beside}


# --- nesting, and several reports --------------------------------------------------------------


def test_nested_json_is_flattened() -> None:
    document = {"a": {"b": "x", "c": [1, True, {"d": None, "e": "y"}]}, "f": False}
    assert reports(document) == [
        {"a.b": "x", "a.c.0": "1", "a.c.1": "true", "a.c.2.e": "y", "f": "false"}
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"a.b": 1, "a": {"b": 2}},
        {"a": ["x"], "a.0": "y"},
        {"to.0.id": 1, "to": [{"id": 2}, {"id": 3}]},
        {"d": '{"x": 1}', "d.x": 2},
    ],
)
def test_no_value_is_lost_where_nested_names_become_one(document: dict[str, Any]) -> None:
    with pytest.raises(MalformedError, match="names that differ"):
        reports(document)


def test_nested_names_that_become_one_may_have_the_same_value() -> None:
    assert reports({"a.b": 1, "a": {"b": 1}}) == [{"a.b": "1"}]


def test_the_status_of_telnyx_is_reached() -> None:
    payload = {"id": "tx-1", "to": [{"status": "delivered", "carrier": "x"}], "errors": []}
    document = {"data": {"event_type": "message.finalized", "payload": payload}, "meta": {"n": 1}}
    assert reports(document)[0]["data.payload.to.0.status"] == "delivered"


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ([{"id": 1}], [{"id": "1"}]),
        ([{"id": 1}, None, {"id": 2}], [{"id": "1"}, {"id": "2"}]),
        ({"results": [{"id": 1}]}, [{"results.0.id": "1"}]),
        (
            {"bulk": "b", "results": [{"id": 1}, {"id": 2, "s": {"n": "ok"}}]},
            [
                {"bulk": "b", "results.0.id": "1"},
                {"bulk": "b", "results.0.id": "2", "results.0.s.n": "ok"},
            ],
        ),
        (
            {"event": {"messageStatusUpdate": [{"id": 1}, {"id": 2}]}},
            [
                {"event.messageStatusUpdate.0.id": "1"},
                {"event.messageStatusUpdate.0.id": "2"},
            ],
        ),
        (
            [{"req": "a", "report": [{"n": 1}, {"n": 2}]}, {"req": "b", "report": [{"n": 3}]}],
            [
                {"req": "a", "report.0.n": "1"},
                {"req": "a", "report.0.n": "2"},
                {"req": "b", "report.0.n": "3"},
            ],
        ),
        (
            {"ok": [{"id": 1}, {"id": 2}], "bad": [{"id": 3}, {"id": 4}], "at": "x"},
            [
                {"at": "x", "ok.0.id": "1"},
                {"at": "x", "ok.0.id": "2"},
                {"at": "x", "bad.0.id": "3"},
                {"at": "x", "bad.0.id": "4"},
            ],
        ),
        (
            {"id": "1", "errors": [{"code": 7}], "to": [{"n": 1}, {"n": 2}]},
            [
                {"id": "1", "errors.0.code": "7", "to.0.n": "1"},
                {"id": "1", "errors.0.code": "7", "to.0.n": "2"},
            ],
        ),
        ([{}, {"id": 1}], [{"id": "1"}]),
    ],
)
def test_each_object_of_an_array_is_one_report_and_shares_what_stands_beside(
    document: Any, found: list[dict[str, str]]
) -> None:
    assert reports(document) == found


def test_fields_of_the_query_belong_to_every_report() -> None:
    assert read(b"epoch=2", "", b'[{"id": 1}, {"id": 2, "epoch": 9}]') == (
        {"id": "1", "epoch": "2"},
        {"id": "2", "epoch": "2"},
    )


@pytest.mark.parametrize(
    "body",
    [
        b"id=1&s=D&id=2&s=F",
        b"id=1&id=2&s=D&s=F",
        b"id=1;s=D&id=2;s=F",
        b"id=1;s=D;id=2;s=F",
        b"id=1\r\ns=D\r\nid=2\r\ns=F\r\n",
        b"id[]=1&s[]=D&id[]=2&s[]=F",
        b"id[]=1&id[]=2&s[]=D&s[]=F",
        b"id[0]=1&s[0]=D&id[1]=2&s[1]=F",
        b"id.3=1&id.4=2&s.4=F&s.3=D",
        b"r[0][id]=1&r[0][s]=D&r[1][id]=2&r[1][s]=F",
        b"r%5B2%5D%5Bid%5D=2&r%5B2%5D%5Bs%5D=F&r%5B1%5D%5Bid%5D=1&r%5B1%5D%5Bs%5D=D",
        b"r[][id]=1&r[][s]=D&r[][id]=2&r[][s]=F",
        b"r[1].id=1&r[1].s=D&r[2].id=2&r[2].s=F",
        b"r.0.id=1&r.0.s=D&r.1.id=2&r.1.s=F",
        b"b[0][r][0][id]=1&b[0][r][0][s]=D&b[0][r][1][id]=2&b[0][r][1][s]=F",
        b"b[0][r][0][id]=1&b[0][r][0][s]=D&b[1][r][0][id]=2&b[1][r][0][s]=F",
        b'data=[{"id": 1, "s": "D"}, {"id": 2, "s": "F"}]',
        b"data=%5B%7B%22id%22:1,%22s%22:%22D%22%7D,%7B%22id%22:2,%22s%22:%22F%22%7D%5D",
        b'data={"r": [{"id": 1, "s": "D"}, {"id": 2, "s": "F"}]}',
        b'data={"id": 1, "s": "D"}&data={"id": 2, "s": "F"}',
        b"%5B%7B%22id%22:1,%22s%22:%22D%22%7D,%7B%22id%22:2,%22s%22:%22F%22%7D%5D=",
        b"--x\n;name=id\n\n1\n--x\n;name=s\n\nD\n--x\n;name=id\n\n2\n--x\n;name=s\n\nF\n--x--",
        b'{"id": 1, "s": "D", "id": 2, "s": "F"}',
        b'{"id": [1, 2], "s": ["D", "F"]}',
        b'{"r": {"7": {"id": 1, "s": "D"}, "8": {"id": 2, "s": "F"}}}',
        b'{"r": "[{\\"id\\": 1, \\"s\\": \\"D\\"}, {\\"id\\": 2, \\"s\\": \\"F\\"}]"}',
    ],
)
def test_two_reports_in_one_form_or_document_are_two_with_the_same_names(body: bytes) -> None:
    first, second = read(b"", FORM, body)
    assert [*map(sorted, (first.values(), second.values()))] == [["1", "D"], ["2", "F"]]
    assert {*first} == {*second}


@pytest.mark.parametrize(
    ("query", "body", "found"),
    [
        (b"id=1&s=D&id=2&s=F", b"", [("1", "D"), ("2", "F")]),
        (b"", b"token=x&id=1&s=D&id=2&s=F", [("x", "1", "D"), ("x", "2", "F")]),
        (b"", b"token=x&token=x&id=1&id=2&id=3", [("x", "1"), ("x", "2"), ("x", "3")]),
        (b"", b"id=1&s=D&id=2&s=D", [("1", "D"), ("2", "D")]),
        (b"", b"id=1&s=D&id=1&s=F", [("1", "D"), ("1", "F")]),
        (b"", b"id=1&id=2&s=D", [("1", "D"), ("2", "D")]),
        (b"id=ours&n=1&id=theirs&s=D", b"", [("ours", "1", "D"), ("theirs", "1", "D")]),
        (b"n=1", b"id=1&s=D&id=2&s=F", [("1", "1", "D"), ("1", "2", "F")]),
        (b"", b'token=x&data=[{"id": 1}, {"id": 2}]', [("x", "1"), ("x", "2")]),
        (b"", b"id[0]=1&id[1]=2&s[1]=F&token=x", [("x", "1"), ("x", "2", "F")]),
        (b"", b"t=x&r[0][id]=1&r[0][to]=a&r[0][to]=b&r[1][id]=2",
         [("x", "1", "a"), ("x", "1", "b"), ("x", "2")]),
        (b"", b'{"Type": "N", "Message": "{\\"id\\": 1}"}', [("N", "1")]),
    ],
)  # fmt: skip
def test_what_is_given_once_belongs_to_every_report(
    query: bytes, body: bytes, found: list[tuple[str, ...]]
) -> None:
    assert [sorted(each.values()) for each in read(query, FORM, body)] == [*map(sorted, found)]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (b"", b"id=1&id=2&id=3&s=D&s=F"),
        (b"", b"id=1&s=D&id=2&s=D&id=3"),
        (b"", b"id=1&s=D&reason=x&id=2&s=F"),
        (b"", b"id=1&s=D&id=2&s=F&reason=x"),
        (b"id=1&s=D&id=2&s=F&id=3", b""),
        (b"", b"id[]=1&id[]=2&s[]=D&s[]=F&s[]=G"),
        (b"", b"id[0]=1&id[1]=2&s=D&s=F"),
        (b"", b'id=1&id=2&data=[{"s": "D"}, {"s": "F"}]'),
        (b"", b'{"id": 1, "id": 2, "id": 3, "s": "D", "s": "F"}'),
        (b"s=D&s=F", b"id=1&id=2"),
        (b"", b"a" + b"[0]" * 9 + b"=1"),
    ],
)
def test_reports_of_which_nobody_knows_what_belongs_together_are_refused(
    query: bytes, body: bytes
) -> None:
    with pytest.raises(MalformedError, match=r"^expected "):
        read(query, FORM, body)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"id=1&status=[DELIVRD]", {"id": "1", "status": "[DELIVRD]"}),
        (b'id=1&text={"cut": "of', {"id": "1", "text": '{"cut": "of'}),
        (b"id=1&codes=[5]", {"id": "1", "codes": "[5]"}),
        (b"id=1&status[code]=5", {"id": "1", "status[code]": "5"}),
        (b"results[1][id]=1&to[0]=2", {"results[1][id]": "1", "to[0]": "2"}),
        (b"id=1&text=a;b=c", {"id": "1", "text": "a;b=c"}),
        (b"text=a;b", {"text": "a;b"}),
        (b'{"id": 1, "codes": [5, 6]}', {"id": "1", "codes.0": "5", "codes.1": "6"}),
        (b'{"id": 1, "a": [5, 6], "b": [7]}',
         {"id": "1", "a.0": "5", "a.1": "6", "b.0": "7"}),
    ],
)  # fmt: skip
def test_one_report_that_only_looks_like_several_keeps_its_fields(
    body: bytes, fields: dict[str, str]
) -> None:
    assert one(b"", FORM, body) == fields


@pytest.mark.parametrize(
    "body", [b"id=1;s=F", b"id=1; s=F", b"id=1,s=F", b"id=1|s=F", b"id=1\ts=F"]
)
def test_other_separators_part_fields_where_only_named_ones_result(body: bytes) -> None:
    assert one(b"", FORM, body) == {"id": "1", "s": "F"}
    assert one(body, "", b"") == {"id": "1", "s": "F"}


@pytest.mark.parametrize(
    "query", [b"id=1?s=F&t=x", b"id=1&amp;s=F&amp;t=x", b"?id=1&s=F&t=x", b"id=1&s=F?t=x"]
)
def test_what_a_gateway_appends_to_our_query_is_read(query: bytes) -> None:
    assert one(query, "", b"") == {"id": "1", "s": "F", "t": "x"}


@given(
    st.lists(
        st.fixed_dictionaries({"id": st.integers(), "s": st.sampled_from("DFX")}),
        min_size=1,
        max_size=20,
        unique_by=lambda report: report["id"],
    ),
    st.sampled_from(["{name}", "{name}[]", "{name}[{n}]", "r[{n}][{name}]", "b[0].r.{n}.{name}"]),
)
@settings(max_examples=40)
def test_every_report_of_a_form_is_read_whatever_way_it_is_written(
    made: list[dict[str, Any]], spelling: str
) -> None:
    body = "&".join(
        f"{spelling.format(name=name, n=n)}={value}"
        for n, each in enumerate(made)
        for name, value in each.items()
    )
    found = [sorted(each.values()) for each in read(b"", FORM, body.encode())]
    assert found == [sorted(map(str, each.values())) for each in made]
