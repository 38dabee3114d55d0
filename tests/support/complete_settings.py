"""Settings of a worker that are complete and right, as environment variables."""

from __future__ import annotations

from pathlib import Path

FLAGS = Path(__file__).parents[2] / "deploy" / "flags.json"
GOOD = {
    "AMQP_URL": "amqp://worker:hush-amqp@localhost/",
    "MONGO_URL": "mongodb://worker:hush-mongo@localhost/",
    "SMS_HASH_KEY": "hush-key",
    "SMS_FLAGS_FILE": str(FLAGS),
    "SMS_TARGET__ID": "africastalking",
    "SMS_TARGET__KIND": "africastalking",
    "SMS_TARGET__BASE_URL": "https://target.example",
    "SMS_TARGET__USERNAME": "acme",
    "SMS_TARGET__SECRET": "hush-target",
    "SMS_LEGACY__ID": "legacy",
    "SMS_LEGACY__KIND": "http",
    "SMS_LEGACY__PRESET": "json-basic",
    "SMS_LEGACY__BASE_URL": "https://legacy.example",
    "SMS_LEGACY__USERNAME": "acme",
    "SMS_LEGACY__SECRET": "hush-legacy",
}
