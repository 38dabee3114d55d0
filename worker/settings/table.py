"""Makes the table of all settings, in Markdown, from the settings models.

Rules: `deploy/README.md` holds this table between two marks, and a test fails if it is stale. The
docstring below a field is the meaning of the setting, and every setting has one.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import AliasChoices, BaseModel

from worker.settings.alerting import NotifySettings, SmtpSettings
from worker.settings.console import ConsoleSettings
from worker.settings.environment import PREFIX
from worker.settings.model import Settings, WebhookSettings
from worker.settings.providers import BreakerSettings, ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

SECTIONS: Final[tuple[tuple[str, str, type[BaseModel]], ...]] = (
    ("A worker", PREFIX, Settings),
    ("A provider, as `SMS_TARGET__...` and `SMS_LEGACY__...`", "...__", ProviderSettings),
    ("A provider's circuit breaker", "...__BREAKER__", BreakerSettings),
    ("The mail server, where mails are sent", f"{PREFIX}SMTP__", SmtpSettings),
    ("Notices", f"{PREFIX}NOTIFY__", NotifySettings),
    ("The webhook", PREFIX, WebhookSettings),
    ("The console", PREFIX, ConsoleSettings),
)
"""Title, prefix of the variables, and the model."""


def table() -> str:
    """All settings with default and meaning, as one Markdown table for each section."""
    return "\n\n".join(_section(*section) for section in SECTIONS)


def _section(title: str, before: str, model: type[BaseModel]) -> str:
    required_first = sorted(_variables(before, model), key=lambda each: not each[1].is_required())
    rows = [f"| `{name}` | {_default(info)} | {_meaning(info)} |" for name, info in required_first]
    return "\n".join(
        [f"### {title}", "", "| variable | default | meaning |", "|---|---|---|", *rows]
    )


def _variables(before: str, model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """The settings of a model that are values. Groups have their own section."""
    for field, info in model.model_fields.items():
        if not any(_is_group(kind) for kind in (info.annotation, *get_args(info.annotation))):
            yield _name(before, field, info), info


def _is_group(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _name(before: str, field: str, info: FieldInfo) -> str:
    if isinstance(info.validation_alias, AliasChoices):
        return str(info.validation_alias.choices[0])
    return f"{before}{field.upper()}"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    return "none" if value in (None, "", {}) else f"`{_written(value)}`"


def _written(value: Any) -> str:
    """A value as it is written in the environment."""
    if isinstance(value, StrEnum | Path | str):
        return str(value)
    if isinstance(value, frozenset):
        return json.dumps(sorted(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)


def _meaning(info: FieldInfo) -> str:
    text = " ".join((info.description or "").split())
    kind = info.annotation
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        text += f" One of {', '.join(f'`{each}`' for each in kind)}."
    return text.replace("|", "\\|")
