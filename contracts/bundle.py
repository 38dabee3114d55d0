"""Builds the AsyncAPI document in one piece, for tools that read a single file.

Rules: it is made from the other document and the schemas, and says the same. Every reference stays
inside it. A definition that several messages share appears once if it is the same in all of them,
else once for each message under the message's name. It is AsyncAPI 3.1.0. Its schemas use the
dialect of AsyncAPI, a superset of JSON Schema draft-07, in which our keywords mean the same.
"""

from __future__ import annotations

from typing import Any, Final

VERSION: Final = "3.1.0"
_COMPONENTS: Final = "#/components/schemas/"
_DEFINITIONS: Final = "#/$defs/"


def bundle(document: dict[str, Any], schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the document with everything that it refers to.

    Args:
        document: the one that refers to a file for each message.
        schemas: JSON Schema by name of the message.
    """
    messages = {
        name: {**message, "payload": {"$ref": f"{_COMPONENTS}{name}"}}
        for name, message in document["components"]["messages"].items()
    }
    components = {"messages": messages, "schemas": _schemas(schemas)}
    return {**document, "asyncapi": VERSION, "components": components}


def _schemas(schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    collected: dict[str, Any] = {}
    for message, schema in schemas.items():
        definitions = schema.get("$defs", {})
        names = {name: _name(message, name, schemas) for name in definitions}
        whole = {key: value for key, value in schema.items() if key not in ("$schema", "$defs")}
        collected[message] = _moved(whole, names)
        collected |= {names[name]: _moved(each, names) for name, each in definitions.items()}
    return dict(sorted(collected.items()))


def _name(message: str, name: str, schemas: dict[str, dict[str, Any]]) -> str:
    """Return the name of a definition in the bundle."""
    same = [each["$defs"][name] for each in schemas.values() if name in each.get("$defs", {})]
    alone = name not in schemas and all(each == same[0] for each in same)
    return name if alone else f"{message}.{name}"


def _moved(node: Any, names: dict[str, str]) -> Any:
    """Return the schema with references to the new places of the definitions."""
    if isinstance(node, list):
        return [_moved(each, names) for each in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith(_DEFINITIONS):
        node = {**node, "$ref": _COMPONENTS + names[reference.removeprefix(_DEFINITIONS)]}
    return {key: _moved(value, names) for key, value in node.items()}
