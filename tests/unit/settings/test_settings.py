"""Process settings: read from the environment, refused with every problem at once."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from worker.domain.migration.access import AccessRole
from worker.settings.model import RuleBy, Settings, WebhookSettings
from worker.settings.providers import ProviderKind, ProviderSettings
from worker.settings.types import credentials

if TYPE_CHECKING:
    from collections.abc import Callable

ENVIRONMENT = {
    "AMQP_URL": "amqp://worker:hidden@localhost/",
    "MONGO_URL": "mongodb://user:hidden@localhost/",
    "SMS_HASH_KEY": "hidden",
    "SMS_TARGET__ID": "africastalking",
    "SMS_TARGET__KIND": "africastalking",
    "SMS_TARGET__BASE_URL": "https://target",
    "SMS_TARGET__USERNAME": "us",
    "SMS_TARGET__SECRET": "hidden",
    "SMS_LEGACY__ID": "legacy",
    "SMS_LEGACY__KIND": "http",
    "SMS_LEGACY__PRESET": "kannel",
    "SMS_LEGACY__BASE_URL": "https://legacy",
}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    def settings(**changes: str | None) -> Settings:
        for name, value in (ENVIRONMENT | changes).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        return Settings()

    return settings


def problems(read: Any, **changes: str | None) -> str:
    with pytest.raises(ValidationError) as caught:
        read(**changes)
    return str(caught.value)


def test_the_environment_is_enough(read: Any) -> None:
    found = read()
    assert (found.target.kind, found.legacy.preset) == (ProviderKind.AFRICASTALKING, "kannel")
    assert found.mongo_database == "sms"


def test_roles_are_given_by_broker_user_and_old_names_mean_the_same(read: Any) -> None:
    assert read().roles == {
        "administrator": AccessRole.ADMINISTRATOR,
        "observer": AccessRole.OBSERVER,
    }
    given = '{"ann": "Admin", "ben": "SMS_Admin", "oda": "operator", "eve": "Observer"}'
    assert read(SMS_ROLES=given).roles == {
        "ann": AccessRole.ADMINISTRATOR,
        "ben": AccessRole.ADMINISTRATOR,
        "oda": AccessRole.OPERATOR,
        "eve": AccessRole.OBSERVER,
    }


@pytest.mark.parametrize("given", ['{"ann": "king"}', '{"Ann Smith": "observer"}', "ann"])
def test_roles_that_do_not_exist_are_refused(read: Any, given: str) -> None:
    assert "roles" in problems(read, SMS_ROLES=given).lower()


def test_nested_and_json_values_are_read(read: Any) -> None:
    found = read(
        SMS_TARGET__BREAKER__WINDOW="10",
        SMS_UNKNOWN_BY_TYPE='{"Otp": "hold"}',
        SMS_ALLOWED_REGIONS='["ZM", "KE"]',
    )
    assert found.target.breaker.window == 10
    assert found.unknown_by_type == {"Otp": RuleBy.HOLD}
    assert found.allowed_regions == {"ZM", "KE"}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("SMS_ROLES", '{"ann": "observer", "ann": "administrator"}'),
        ("SMS_UNKNOWN_BY_TYPE", '{"Otp": "hold", "Otp": "resend"}'),
        ("SMS_TARGET__PARAMETERS", '{"a": "1", "a": "1"}'),
    ],
)
def test_an_object_that_repeats_a_key_is_refused(read: Any, name: str, given: str) -> None:
    assert name.rpartition("_")[2].lower() in problems(read, **{name: given})


def test_secrets_are_never_shown(read: Any) -> None:
    assert "hidden" not in repr(read())


def test_settings_cannot_be_changed(read: Any) -> None:
    with pytest.raises(ValidationError):
        read().log_level = "debug"


def test_a_lease_outlives_the_longest_call(read: Any) -> None:
    found = read(SMS_LEGACY__DEADLINE_S="40", SMS_LEGACY__CONNECT_TIMEOUT_S="2")
    assert found.lease_s == 40 + 2 + 15


def test_what_contradicts_itself_is_listed_whole(read: Any) -> None:
    said = problems(
        read,
        SMS_LEGACY__ID="africastalking",
        SMS_DRAIN_GRACE_S="30",
        SMS_DELIVERY_AGE_S="172800",
        SMS_KEEP_RECORDS_S="3600",
    )
    for field in ("legacy", "drain_grace_s", "delivery_age_s", "keep_records_s"):
        assert f"\n{field}\n  Value error, " in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMS_TARGET__ID", "No Spaces"),
        ("SMS_TARGET__RATE_PER_S", "0"),
        ("SMS_TARGET__BREAKER__FAILURE_RATE", "1.5"),
        ("SMS_TARGET__COLOUR", "blue"),
        ("SMS_DEFAULT_REGION", "Zambia"),
        ("SMS_PRIVATE_PORT", "70000"),
        ("SMS_LOG_LEVEL", "loud"),
        ("SMS_TRACE_RATIO", "2"),
        ("SMS_ROUNDS_BULK", "0"),
        ("SMS_HASH_KEY", None),
        ("AMQP_URL", None),
    ],
)
def test_a_wrong_value_is_refused_by_name(read: Any, name: str, value: str | None) -> None:
    last = name.removeprefix("SMS_").rpartition("__")[2].lower()
    assert last in problems(read, **{name: value}).lower()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"kind": "http"}, "preset"),
        ({"kind": "africastalking"}, "username"),
        ({"kind": "africastalking", "username": "us"}, "secret"),
        ({"kind": "smpp"}, "kind"),
    ],
)
def test_each_kind_of_provider_needs_its_own(fields: dict[str, str], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ProviderSettings.model_validate({"id": "p", "base_url": "http://h"} | fields)


@pytest.mark.parametrize(
    ("security", "port"), [(None, 587), ("starttls", 587), ("tls", 465), ("none", 25)]
)
def test_the_usual_port_of_a_mail_server_follows_its_security(
    read: Any, security: str | None, port: int
) -> None:
    address = {"SMS_SMTP__HOST": "mail", "SMS_SMTP__SENDER": "sms@example.com"}
    found = read(**address, SMS_SMTP__SECURITY=security)
    assert found.smtp.port_used == port
    assert read(**address, SMS_SMTP__PORT="2525").smtp.port_used == 2525


def test_without_a_mail_server_there_is_none(read: Any) -> None:
    assert read().smtp is None


def test_the_webhook_has_settings_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URL", "amqp://webhook:hidden@localhost/")
    monkeypatch.setenv("SMS_WEBHOOK_TOKENS", '{"legacy": "hidden"}')
    found = WebhookSettings()
    assert [token.get_secret_value() for token in found.webhook_tokens["legacy"]] == ["hidden"]
    assert "hidden" not in repr(found)


@pytest.fixture
def of_webhook(monkeypatch: pytest.MonkeyPatch) -> Callable[..., WebhookSettings]:
    monkeypatch.setenv("AMQP_URL", "amqp://webhook:pw@localhost/")
    monkeypatch.setenv("SMS_WEBHOOK_TOKENS", '{"legacy": "secret-token"}')

    def made(**variables: str) -> WebhookSettings:
        for name, value in variables.items():
            monkeypatch.setenv(f"SMS_WEBHOOK_{name}", value)
        return WebhookSettings()

    return made


def test_two_tokens_of_the_webhook_are_valid_while_one_is_changed(of_webhook: Any) -> None:
    found = of_webhook(TOKENS='{"legacy": ["new-one", "old-one"]}')
    tokens = [token.get_secret_value() for token in found.webhook_tokens["legacy"]]
    assert tokens == ["new-one", "old-one"]
    assert list(credentials(found)) == ["pw", "new-one", "old-one"]
    assert "-one" not in repr(found)


@pytest.mark.parametrize("given", ["[]", '["a", "b", "c"]', '["a/b"]', '[""]', "3"])
def test_odd_tokens_of_the_webhook_are_refused(of_webhook: Any, given: str) -> None:
    with pytest.raises(ValidationError, match=r"webhook_tokens\.legacy"):
        of_webhook(TOKENS=f'{{"legacy": {given}}}')


def test_the_webhook_knows_networks_of_providers_and_proxies(of_webhook: Any) -> None:
    found = of_webhook(
        SOURCES='{"legacy": ["192.0.2.0/24", "::1"]}', TRUSTED_PROXIES='["10.0.0.0/8"]'
    )
    assert found.webhook_sources == {"legacy": {ip_network("192.0.2.0/24"), ip_network("::1")}}
    assert found.webhook_trusted_proxies == {ip_network("10.0.0.0/8")}


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (
            "SOURCES",
            '{"legcy": ["::1"]}',
            "webhook_sources.*\n.*expected providers of .* got legcy",
        ),
        ("SOURCES", '{"legacy": ["x"]}', r"webhook_sources\.legacy"),
        ("SOURCES", '{"legacy": ["192.0.2.1/24"]}', r"webhook_sources\.legacy"),
        ("TRUSTED_PROXIES", '["0.0.0.0/0"]', "webhook_trusted_proxies\n.*got all addresses"),
        ("TRUSTED_PROXIES", "10.0.0.0/8", "webhook_trusted_proxies"),
        ("RATE_PER_S", "0", "webhook_rate_per_s"),
    ],
)
def test_odd_networks_and_rates_of_the_webhook_are_refused(
    of_webhook: Any, name: str, given: str, said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        of_webhook(**{name: given})


def test_the_webhook_answers_only_providers_that_have_a_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AMQP_URL", "amqp://webhook:pw@localhost/")
    monkeypatch.setenv("SMS_WEBHOOK_TOKENS", '{"legacy": "secret-token"}')
    monkeypatch.setenv("SMS_WEBHOOK_ANSWERS", '{"legacy": "ACK/Jasmin"}')
    assert WebhookSettings().webhook_answers == {"legacy": "ACK/Jasmin"}
    monkeypatch.setenv("SMS_WEBHOOK_ANSWERS", '{"legcy": "ACK/Jasmin"}')
    said = r"webhook_answers\n  Value error, expected .* got legcy"
    with pytest.raises(ValidationError, match=said):
        WebhookSettings()


def test_other_hash_keys_are_secret_and_bounded(read: Any) -> None:
    found = read(SMS_HASH_KEYS_OTHER='["old-key", "older-key"]')
    assert {"old-key", "older-key"} <= set(credentials(found))
    assert "old" not in repr(found.hash_keys_other)
    with pytest.raises(ValidationError, match="hash_keys_other"):
        read(SMS_HASH_KEYS_OTHER='["a", "b", "c", "d", "e"]')
