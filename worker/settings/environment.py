"""Reads settings from the environment and secret files, and finds names that no setting reads.

Rules:
- Names may have any case. They begin with `SMS_`, and two underscores separate nested names.
- An empty variable counts as not set.
- A secret file counts as a variable; see `worker.settings.secret_files`.
- A name with our prefix that belongs to no setting is a problem, because a misspelt setting would
  silently keep its default.
- Two different values of one setting are a problem: by names in different case, by two names of the
  setting, by a repeated key of a JSON object, or by an object and a variable below it.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from contracts.documents import repeated
from worker.settings import secret_files
from worker.settings.addresses import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic.fields import FieldInfo
    from pydantic_settings import PydanticBaseSettingsSource

PREFIX: Final = "SMS_"
OF_COMMANDS: Final = ("SMS_CTL_USER",)
"""Variables that single commands read."""
_OF_A_USER: Final = re.compile(r"AMQP_URL_[A-Z0-9_]+")
"""Addresses of the broker with the login of one user, which commands read."""
_SERVICE_LINK: Final = re.compile(
    r"SMS_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)=.*|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?=.*|PORT=\w+://.*)"
)
"""Variables that Kubernetes sets in a container if the name of a service begins with `sms`."""


def repeated_keys(value: str) -> tuple[str, ...]:
    """Keys that a JSON object has more than once; empty if the value is no JSON."""
    try:
        return repeated(value)
    except (ValueError, RecursionError):
        return ()


class _Environment(EnvSettingsSource):
    """Reads the environment and the secret files.

    Bad JSON and repeated keys are left to validation, which lists them with all other problems.
    The library's own source of secret files would stop at the first file that it cannot read, and
    would strip blanks, which here are an error.
    """

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.env_vars = {n.lower(): v for n, v in secret_files.variables(os.environ).items() if v}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        if repeated_keys(value):
            return value
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class FromEnvironment(BaseSettings):
    """Settings that are read only from the environment and from secret files."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    secrets_dir: Path | None = None
    """Folder of secret files; a file stands for the variable of its name."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - replaced
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use arguments first, then the environment, then secret files."""
        return init_settings, _Environment(settings_cls)


class Names:
    """The variables that settings read.

    Args:
        models: the models of the settings.
    """

    def __init__(self, *models: type[BaseModel]) -> None:
        variables = [each for model in models for each in _names(model, PREFIX)]
        self.all: Final = tuple(dict.fromkeys(name for name, _ in variables))
        self._open: Final = frozenset(name for name, is_open in variables if is_open)
        self._synonyms: Final = tuple(dict.fromkeys(each for m in models for each in _synonyms(m)))

    def unknown(self, environment: Mapping[str, str]) -> list[str]:
        """Problems of variables with our prefix that belong to no setting."""
        return [
            f"{name}: expected the name of a setting{nearest(name, self.all)}"
            for name, value in sorted(environment.items())
            if name.upper().startswith(PREFIX)
            and not self._is_read(name.upper())
            and not _SERVICE_LINK.fullmatch(f"{name}={value}")
        ]

    def unread(self, files: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Secret files that belong to no setting, each with what was expected."""
        for name in files:
            upper = name.upper()
            is_read = self._is_read(upper) and upper != secret_files.FOLDER
            if not is_read and not _OF_A_USER.fullmatch(upper):
                yield name, f"expected the name of a setting{nearest(name, self.all)}"

    def shown(self, path: Iterable[str | int]) -> str:
        """The variable for a path of fields. Keys of an object are data and are left out."""
        name = ""
        for step in path:
            name = f"{name}__{step}".upper() if name else self._first(str(step))
            if name in self._open:
                break
        return name

    def _first(self, step: str) -> str:
        return step if step in self.all else f"{PREFIX}{step}".upper()

    def _is_read(self, name: str) -> bool:
        first, below, _ = name.partition("__")
        if not below or first in self._open:
            return first in (*self.all, *OF_COMMANDS)
        # Names below a setting with its own fields are checked with that setting.
        return any(each.startswith(f"{first}__") for each in self.all)

    def given_twice(self, environment: Mapping[str, str]) -> list[str]:
        """Problems of settings that have two different values."""
        given: dict[str, str] = {}
        problems = []
        for name, value in environment.items():
            upper = name.upper()
            is_ours = upper.startswith(PREFIX) or upper in self.all
            if is_ours and given.setdefault(upper, value) != value:
                problems.append(
                    f"{upper}: expected one value, got two: its name stands in two cases"
                )
        pairs = [(one, other, given.get(one)) for one, other in self._synonyms]
        pairs += [
            (name, below, inner)
            for name, value in given.items()
            for below, inner in _entries(name, _read(value))
        ]
        problems += [
            f"{name}: expected one value, got another one in {other}"
            for name, other, value in pairs
            if value and given.get(other, "") not in {"", value}
        ]
        return problems


def _read(value: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _entries(name: str, value: object) -> Iterator[tuple[str, str]]:
    """The variables that stand for the values of an object, and these values."""
    for key, each in value.items() if isinstance(value, dict) else ():
        below = f"{name}__{key.upper()}"
        if isinstance(each, dict):
            yield from _entries(below, each)
        elif key == key.lower():  # a variable cannot set any other key
            yield below, each if isinstance(each, str) else json.dumps(each)


def _synonyms(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """The name pairs of all settings with two names."""
    for info in model.model_fields.values():
        if isinstance(info.validation_alias, AliasChoices):
            first, *others = map(str, info.validation_alias.choices)
            yield from ((first, other) for other in others)


def _names(model: type[BaseModel], before: str) -> Iterator[tuple[str, bool]]:
    """The variables of a model, and whether each is an object with free keys below it."""
    for field, info in model.model_fields.items():
        alias = info.validation_alias
        if isinstance(alias, AliasChoices):
            yield from ((str(choice), False) for choice in alias.choices)
            continue
        name, kinds = before + field.upper(), (info.annotation, *get_args(info.annotation))
        yield name, any(get_origin(kind) is dict for kind in kinds)
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _names(kind, f"{name}__")
