"""Presets and their templates: what a description of a gateway may say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.unit.providers.gateway_desk import account, preset, sms
from worker.domain.messages.outcome import Blame, NotSent
from worker.providers.gateway_request import problems
from worker.providers.http_gateway import HttpGateway
from worker.providers.preset import load, shipped
from worker.providers.registry import build
from worker.providers.template import Template

if TYPE_CHECKING:
    from pathlib import Path


# --- templates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["{to", "to}", "{}", "{to!r}", "{to:>9}", "{to.real:x}"])
def test_a_broken_template_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Template.parse(source)


@given(st.text())
def test_a_value_never_leaves_its_place_in_an_address(value: str) -> None:
    value = value.encode("utf-8", "ignore").decode()
    address = Template.parse("{base_url}/a/{text}/b?q={text}&z=1")
    values = {"base_url": "http://host", "text": value}
    if not value or {".", ".."} & set(re.split(r"[/\\]", value)):
        with pytest.raises(ValueError, match="address"):
            address.render_address(values)
        return
    split = urlsplit(address.render_address(values))
    assert split.path.count("/") == 3
    assert parse_qs(split.query, keep_blank_values=True) == {"q": [value], "z": ["1"]}
    assert not split.fragment


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("{base_url}/from/{sender_id}/message/{text}", {"text": ".."}),
        ("{base_url}/from/{sender_id}/message/{text}", {"text": "."}),
        ("{base_url}/from/{sender_id}/message/{text}", {"text": "../../account"}),
        ("{base_url}/from/{sender_id}/message/{text}", {"text": "..\\x"}),
        ("{base_url}/from/{sender_id}/message/{text}", {"text": ""}),
        ("{base_url}/from/{sender_id}/message/{text}", {"sender_id": "..", "text": "Hi"}),
        ("{base_url}/from/{sender_id}/message/{text}", {"sender_id": "", "text": "Hi"}),
        ("{base_url}/{text}?x={sender_id}", {"text": ".."}),
        ("{base_url}/.{text}/x", {"text": "."}),
        ("{base_url}/%2e{text}", {"text": "."}),
        ("{base_url}/%2E{text}", {"text": ""}),
        ("{base_url}/{epoch}{message_id}", {"epoch": ".", "message_id": "."}),
        ("https://host/{text}", {"text": ".."}),
    ],
)
def test_a_step_that_would_lead_elsewhere_is_refused(source: str, values: dict[str, str]) -> None:
    filled = {"base_url": "http://host/api", "sender_id": "ACME"} | values
    with pytest.raises(ValueError, match="address"):
        Template.parse(source).render_address(filled)


@pytest.mark.parametrize("text", ["...", "..a", ". .", "a..", "%2e%2e", "..;", "http://x"])
def test_dots_that_lead_nowhere_stay_in_a_step(text: str) -> None:
    address = Template.parse("{base_url}/{text}/?a={text}")
    rendered = address.render_address({"base_url": "http://host", "text": text})
    assert unquote(httpx.URL(rendered).raw_path.decode()) == f"/{text}/?a={text}"


async def test_a_text_of_dots_is_for_the_other_provider(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "name: path\nsend: {method: GET, url: '{base_url}/from/{sender_id}/message/{text}'}\n"
        "rules: [{status: [200], regex: OK, verdict: accepted}]"
    )
    provider = HttpGateway(account(str(path)))
    found = await provider.send(sms(text=".."))
    assert isinstance(found, NotSent)
    assert (found.blame, found.code) == (Blame.MESSAGE, "not_encodable")
    await provider.close()


# --- presets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_preset_is_whole(name: str) -> None:
    found = load(name)
    assert found.name == name
    assert problems(account(name), found) == []


def test_every_problem_of_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "name: x\ncolour: red\nsend: {method: TRACE, url: '{base_url'}\n"
        "rules: [{status: [200], verdict: accepted}, {verdict: refused}, {regex: '(', verdict: no}]"
    )
    with pytest.raises(ValidationError) as caught:
        load(str(path))
    places = {".".join(map(str, problem["loc"])) for problem in caught.value.errors()}
    assert places == {
        "colour",
        "send.method",
        "send.url",
        "rules.0",
        "rules.1",
        "rules.2.regex",
        "rules.2.verdict",
    }


@pytest.mark.parametrize("content", ["{", "- 1", ""])
def test_a_file_that_is_no_preset_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=r".+"):
        load(str(path))


def test_an_unknown_preset_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="json-basic, kannel"):
        load("no-such-preset")


def test_what_the_settings_lack_is_named_at_once() -> None:
    lacking = account(
        "kannel", username=None, secret=None, report_token=None, parameters={"to": "x"}
    )
    with pytest.raises(ValueError, match=r"parameters\.to.*username.*secret.*report_token"):
        build(lacking)


def test_an_unknown_slot_is_named() -> None:
    found = preset(send={"method": "GET", "url": "{base_url}/{route}"})
    assert problems(account("kannel"), found) == [
        "preset: send.url: slot {route}: expected a known name or one of 'parameters'"
    ]
    assert problems(account("kannel", parameters={"route": "zm"}), found) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/messages",
        "messages",
        "//host/x",
        "ftp://host/x",
        "{base_url}messages",
        "{base_url}:8080/x",
        "{base_url}{to}",
        "{base_url}/x#{text}",
        "{to}",
        "{secret}/x",
        "{report_base_url}/x",
        "https://{to}/x",
    ],
)
@pytest.mark.parametrize("call", ["send", "check"])
def test_an_incomplete_address_of_a_preset_is_refused(url: str, call: str) -> None:
    request = {"method": "GET", "url": url}
    changes: dict[str, Any] = {"check": {"request": request, "balance": {"json": "b"}}}
    with pytest.raises(
        ValidationError, match=r"url: expected '.base_url.' or an address with http"
    ):
        preset(**(changes if call == "check" else {"send": request}))


@pytest.mark.parametrize(
    "url", ["/reports/{report_token}", "{base_url}/r", "{report_base_url}r", "{report_base_url}#a"]
)
def test_an_incomplete_address_for_reports_is_refused(url: str) -> None:
    reports = {"url": url, "message_id": "id", "statuses": {"1": "delivered"}}
    with pytest.raises(ValidationError, match=r"url: expected '.report_base_url.' or an address"):
        preset(reports=reports)


@pytest.mark.parametrize("url", ["{base_url}", "{base_url}?a=1", "{base_url}/é b", "http://h/{to}"])
def test_a_complete_address_of_a_preset_is_taken(url: str) -> None:
    assert problems(account("kannel"), preset(send={"method": "GET", "url": url})) == []


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"Ü": "a"}, "expected the name of a field of HTTP"),
        ({"": "a"}, "expected the name of a field of HTTP"),
        ({"X Y": "a"}, "expected the name of a field of HTTP"),
        ({"X\nY": "a"}, "expected the name of a field of HTTP"),
        ({"X": "é"}, r"headers\.X: expected ASCII characters without line ends"),
        ({"X": "{to}\n"}, r"headers\.X: expected ASCII characters without line ends"),
        ({"Content-Length": "5"}, "expected no Content-Length"),
        ({"transfer-encoding": "chunked"}, "expected no transfer-encoding"),
        ({"X-Key": "a", "x-key": "b"}, "expected each name once"),
    ],
)
@pytest.mark.parametrize("place", ["send", "auth"])
def test_headers_that_http_cannot_carry_are_refused(
    headers: dict[str, str], problem: str, place: str
) -> None:
    send = {"method": "GET", "url": "{base_url}", "headers": headers}
    auth = {"kind": "header", "fields": headers}
    with pytest.raises(ValidationError, match=problem):
        preset(**({"send": send} if place == "send" else {"auth": auth}))


@pytest.mark.parametrize(
    "url",
    ["{base_url}/a\tb", "{base_url}/a\n", "{base_url}/../a", "https://xn--a/", "{base_url}/."],
)
def test_a_preset_that_no_request_can_be_made_of_is_named(url: str) -> None:
    found = preset(send={"method": "GET", "url": url})
    (problem,) = problems(account("kannel", parameters={"route": "a."}), found)
    assert problem.startswith("preset: send: expected ")


@pytest.mark.parametrize("url", ["{base_url}/a\tb", "{base_url}/balance/{to}"])
def test_an_account_call_that_cannot_be_made_is_named(url: str) -> None:
    check = {"request": {"method": "GET", "url": url}, "balance": {"json": "b"}}
    (problem,) = problems(account("kannel"), preset(check=check))
    assert problem.startswith("preset: check.request: expected ")


@pytest.mark.parametrize("kind", ["http", "africastalking"])
@pytest.mark.parametrize("field", ["base_url", "report_base_url"])
@pytest.mark.parametrize("host", ["xn--a", "xn--zz--zz.example", "h²", "\uff11.2.3.4", "aª.com"])
def test_a_host_that_the_libraries_refuse_is_named(kind: str, field: str, host: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: expected a host"):
        build(
            account(
                "json-basic", kind=kind, **({"base_url": "https://h"} | {field: f"https://{host}"})
            )
        )


@pytest.mark.parametrize(
    ("base_url", "twice"),
    [
        ("https://hooks/reports", "/reports"),
        ("https://hooks/sms/reports/", "/reports"),
        ("https://hooks/reports/legacy", "/reports/{provider_id}"),
        ("https://hooks/reports/legacy/t0ken", "/reports/{provider_id}/{report_token}"),
        ("https://hooks/reports/legacy/old", "/reports/{provider_id}/{report_token}"),
    ],
)
@pytest.mark.parametrize("name", ["json-basic", "kannel"])
def test_a_report_address_with_the_path_of_the_preset_is_named(
    base_url: str, twice: str, name: str
) -> None:
    (problem,) = problems(account(name, report_base_url=base_url), load(name))
    assert problem == (
        f"report_base_url: expected the address without {twice}: preset {name!r} adds it"
    )


@pytest.mark.parametrize("base_url", ["https://hooks", "https://hooks/sms", "https://reports/a"])
def test_a_report_address_without_the_path_of_the_preset_is_taken(base_url: str) -> None:
    assert problems(account("kannel", report_base_url=base_url), load("kannel")) == []


@pytest.mark.parametrize("path", ["/cgi-bin", "/x/cgi-bin/sendsms/"])
def test_a_base_address_with_a_part_of_the_path_of_the_preset_is_named(path: str) -> None:
    (problem,) = problems(account("kannel", base_url=f"http://gateway{path}"), load("kannel"))
    assert problem.startswith("base_url: expected the address without /cgi-bin")
