"""Writes the contract for readers of any language: JSON Schemas and an AsyncAPI document.

Rules: `contracts/schemas/` is generated from the models and `contracts.names`, and a test fails
when it is stale. There is one schema for each message and for each answer to a query, named after
it; `asyncapi.json` refers to those of messages, and `asyncapi.bundled.json` is the same in one
piece. Sources: JSON Schema 2020-12, AsyncAPI 3.0.0 and (in one piece) 3.1.0, with AMQP bindings
0.3.0.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from contracts.answers import ANSWERS
from contracts.asyncapi import document
from contracts.bundle import bundle
from contracts.catalogue import MESSAGES

if TYPE_CHECKING:
    from pathlib import Path

    from contracts.catalogue import Published
    from contracts.model import Wire

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_NULL: Final = {"type": "null"}


def render() -> dict[str, str]:
    """Return every generated file: name -> content."""
    schemas, whole = {each.name: schema(each) for each in MESSAGES}, document()
    answers = {model.__name__: answer_schema(model) for model in ANSWERS.values()}
    return {
        **{f"{name}.json": _text(each) for name, each in (answers | schemas).items()},
        "asyncapi.json": _text(whole),
        "asyncapi.bundled.json": _text(bundle(whole, schemas)),
    }


def schema(message: Published) -> dict[str, Any]:
    """Return the JSON Schema of a message as it is on the wire (camelCase)."""
    if message.inbound:
        generated: Any = message.model.model_json_schema(mode="validation")
    else:
        generated = _as_written(message.model.model_json_schema(mode="serialization"))
    return {"$schema": DIALECT, **_untitled(generated)}


def answer_schema(model: type[Wire]) -> dict[str, Any]:
    """Return the JSON Schema of the answer to a query: `data` in a `ControlReply`."""
    return {"$schema": DIALECT, **_untitled(model.model_json_schema(mode="serialization"))}


def _as_written(node: Any) -> Any:
    """Describe what `encode` writes: fields that are None are absent, all others are there."""
    if isinstance(node, list):
        return [_as_written(each) for each in node]
    if not isinstance(node, dict):
        return node
    written = {name: _as_written(value) for name, value in _without_null(node).items()}
    if "properties" in node:
        fields = node["properties"].items()
        written["required"] = [name for name, field in fields if _NULL not in _choices(field)]
    return written


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    if _NULL not in _choices(node):
        return node
    choices = [each for each in node["anyOf"] if each != _NULL]
    rest = {name: value for name, value in node.items() if name not in ("anyOf", "default")}
    return rest | (choices[0] if len(choices) == 1 else {"anyOf": choices})


def _choices(node: Any) -> list[Any]:
    choices = node.get("anyOf") if isinstance(node, dict) else None
    return choices if isinstance(choices, list) else []


def _untitled(node: Any) -> Any:
    """Drop generated titles (`Messageid`); a property called `title` is no string and stays."""
    if isinstance(node, list):
        return [_untitled(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _untitled(value)
        for name, value in node.items()
        if not (name == "title" and isinstance(value, str))
    }


def stale(directory: Path) -> list[str]:
    """Return the names of files in `directory` that are missing, differ, or should not be there."""
    expected = render()
    present = {path.name: path.read_text(encoding="utf-8") for path in directory.glob("*.json")}
    return sorted(name for name in expected | present if expected.get(name) != present.get(name))


def write(directory: Path) -> list[str]:
    """Bring `directory` up to date; returns the names of the files that changed."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = stale(directory)
    expected = render()
    for name in changed:
        if name in expected:
            (directory / name).write_text(expected[name], encoding="utf-8")
        else:
            (directory / name).unlink()
    return changed


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
