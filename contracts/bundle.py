"""The AsyncAPI document in one piece, for tools that read a single file.

Rules: made from the other document and the schemas, and says the same; every reference stays within
it. A definition that several messages share stands once if it is the same in all of them, else once
for each under the message's name. AsyncAPI 3.1.0; schemas are in its own dialect, a superset of
JSON Schema draft-07, in which nothing of ours means anything else.
"""

from __future__ import annotations

from typing import Any, Final

VERSION: Final = "3.1.0"
_COMPONENTS: Final = "#/components/schemas/"
_DEFINITIONS: Final = "#/$defs/"


def bundle(document: dict[str, Any], schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The document with everything it refers to.

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
    found: dict[str, Any] = {}
    for message, schema in schemas.items():
        definitions = schema.get("$defs", {})
        names = {name: _name(message, name, schemas) for name in definitions}
        whole = {key: value for key, value in schema.items() if key not in ("$schema", "$defs")}
        found[message] = _moved(whole, names)
        found |= {names[name]: _moved(each, names) for name, each in definitions.items()}
    return dict(sorted(found.items()))


def _name(message: str, name: str, schemas: dict[str, dict[str, Any]]) -> str:
    """What a definition is called where all are together."""
    same = [each["$defs"][name] for each in schemas.values() if name in each.get("$defs", {})]
    alone = name not in schemas and all(each == same[0] for each in same)
    return name if alone else f"{message}.{name}"


def _moved(node: Any, names: dict[str, str]) -> Any:
    """The same schema, its references leading to where the definitions are now."""
    if isinstance(node, list):
        return [_moved(each, names) for each in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith(_DEFINITIONS):
        node = {**node, "$ref": _COMPONENTS + names[reference.removeprefix(_DEFINITIONS)]}
    return {key: _moved(value, names) for key, value in node.items()}
