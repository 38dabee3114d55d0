"""The generated files: fresh, valid, and true to what the models read and write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError
from typer.testing import CliRunner

import contracts
from contracts import export
from contracts.bundle import bundle
from contracts.catalogue import MESSAGES
from contracts.codec import encode
from tests.contracts.wire_samples import SAMPLES
from worker.cli.contracts import app

DIRECTORY = Path(contracts.__path__[0]) / "schemas"


def schema(name: str) -> dict:
    return json.loads((DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))


def document() -> dict:
    return json.loads((DIRECTORY / "asyncapi.json").read_text(encoding="utf-8"))


def bundled() -> dict:
    return json.loads((DIRECTORY / "asyncapi.bundled.json").read_text(encoding="utf-8"))


def test_the_generated_files_are_fresh() -> None:
    assert export.stale(DIRECTORY) == [], "run: sms-worker contracts export"


@pytest.mark.parametrize("name", [each.name for each in MESSAGES])
def test_a_schema_is_valid_json_schema(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", SAMPLES)
def test_what_we_write_matches_its_schema(name: str) -> None:
    model, fields = SAMPLES[name]
    written = json.loads(encode(model.model_validate(fields)))
    Draft202012Validator(schema(model.__name__)).validate(written)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "StateAnnouncement"])
def test_a_schema_refuses_a_message_of_wrong_types(name: str) -> None:
    model, fields = SAMPLES[name]
    written = json.loads(encode(model.model_validate(fields)))
    wrong = {field: [value] for field, value in written.items()}
    with pytest.raises(ValidationError):
        Draft202012Validator(schema(model.__name__)).validate(wrong)


def test_the_schema_of_an_event_says_what_is_always_there() -> None:
    assert "possibleDuplicate" in schema("SmsSent")["required"]
    assert "cost" not in schema("SmsSent")["required"]


def test_the_schema_of_a_command_lets_the_amqp_property_serve_for_the_id() -> None:
    assert schema("SendSms")["required"] == ["to", "text"]


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for each in node for found in references(each)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for each in node.values() for found in references(each)]


def keywords(node: Any) -> set[str]:
    if isinstance(node, list):
        return {found for each in node for found in keywords(each)}
    if not isinstance(node, dict):
        return set()
    return {*node, *(found for each in node.values() for found in keywords(each))}


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    whole = document()
    for reference in references(whole):
        if reference.startswith("./"):
            assert (DIRECTORY / reference).is_file(), reference
            continue
        node = whole
        for step in reference.removeprefix("#/").split("/"):
            assert step in node, reference
            node = node[step]


def test_the_bundled_document_refers_to_nothing_but_itself() -> None:
    whole = bundled()
    assert whole["asyncapi"] == "3.1.0"
    for reference in references(whole):
        assert reference.startswith("#/"), reference
        node = whole
        for step in reference.removeprefix("#/").split("/"):
            assert step in node, reference
            node = node[step]


def test_the_bundled_document_has_all_of_the_other_one() -> None:
    one, other = bundled(), document()
    assert one.keys() == other.keys()
    assert (one["channels"], one["operations"]) == (other["channels"], other["operations"])
    assert one["components"]["messages"].keys() == other["components"]["messages"].keys()


def test_every_schema_of_the_bundled_document_is_one_of_its_dialect() -> None:
    found = bundled()["components"]["schemas"]
    assert {each.name for each in MESSAGES} <= found.keys()
    for each in found.values():
        Draft7Validator.check_schema(each)
    beyond = {"$schema", "$defs", "prefixItems", "unevaluatedProperties", "dependentRequired"}
    assert not beyond & keywords(found)


@pytest.mark.parametrize("name", SAMPLES)
def test_what_we_write_matches_its_schema_in_the_bundled_document(name: str) -> None:
    model, fields = SAMPLES[name]
    written = json.loads(encode(model.model_validate(fields)))
    whole = bundled()
    payload = whole["components"]["messages"][model.__name__]["payload"]
    validator = Draft7Validator({**payload, "components": whole["components"]})
    validator.validate(written)
    wrong = {field: [value] for field, value in written.items()}
    assert name == "StateAnnouncement" or not validator.is_valid(wrong)


def test_a_definition_that_differs_between_messages_stands_once_for_each() -> None:
    def schema_with(kind: str) -> dict:
        return {"$ref": "#/$defs/Cost", "$defs": {"Cost": {"type": kind}, "Same": {}}}

    schemas = {"A": schema_with("string"), "B": schema_with("object")}
    made = bundle({"components": {"messages": {"A": {}, "B": {}}}}, schemas)
    assert made["components"]["schemas"] == {
        "A": {"$ref": "#/components/schemas/A.Cost"},
        "A.Cost": {"type": "string"},
        "B": {"$ref": "#/components/schemas/B.Cost"},
        "B.Cost": {"type": "object"},
        "Same": {},
    }


def test_every_message_of_the_catalogue_has_a_channel_for_each_key() -> None:
    addresses = {each["address"] for each in document()["channels"].values()}
    assert {str(key) for each in MESSAGES for key in each.keys} <= addresses


def test_every_outbound_message_has_an_operation_that_sends_it() -> None:
    sent = {
        each["messages"][0]["$ref"].rsplit("/", 1)[1]
        for each in document()["operations"].values()
        if each["action"] == "send"
    }
    assert sent == {each.name for each in MESSAGES if not each.inbound}


def test_export_writes_what_check_then_accepts(tmp_path: Path) -> None:
    run = CliRunner()
    missing = run.invoke(app, ["export", "--check", "--to", str(tmp_path)])
    assert missing.exit_code == 1
    assert "asyncapi.json" in missing.output
    assert run.invoke(app, ["export", "--to", str(tmp_path)]).exit_code == 0
    assert run.invoke(app, ["export", "--check", "--to", str(tmp_path)]).exit_code == 0


def test_export_replaces_what_is_stale_and_removes_what_is_gone(tmp_path: Path) -> None:
    export.write(tmp_path)
    (tmp_path / "SmsSent.json").write_text("{}", encoding="utf-8")
    (tmp_path / "Old.json").write_text("{}", encoding="utf-8")
    assert export.write(tmp_path) == ["Old.json", "SmsSent.json"]
    assert export.stale(tmp_path) == []
