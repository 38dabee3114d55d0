"""Makes the secret files of compose.yaml.

Usage: python3 deploy/compose/make_secrets.py [FOLDER]; the folder is deploy/secrets by default.

Rules:
- Files that exist are kept, so it can be run again; only what is made from others is written anew.
- The folder is closed to other users of the machine. The files are readable, because the users of
  the containers are other ones.
- Nothing secret is printed. It needs Python alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parents[1]
DEFINITIONS = HERE / "rabbitmq" / "definitions.json"
BY_HAND = {
    "target_secret": "the API key at Africa's Talking",
    "legacy_secret": "the password at the legacy gateway",
}
"""What only you know."""


def main(folder: Path) -> int:
    """Make what is missing; say what is to be written by hand. Returns the exit code."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    definitions = json.loads(DEFINITIONS.read_text(encoding="utf-8"))
    for user in definitions["users"]:
        name, url = user["name"], f"amqp://{user['name']}:{secrets.token_urlsafe(24)}@rabbitmq/"
        password = urlsplit(_kept(folder / f"{name}_amqp_url", url)).password
        user["password_hash"] = password_hash(password or "")
        user["hashing_algorithm"] = "rabbit_password_hashing_sha256"
    _write(folder / "rabbitmq_definitions.json", json.dumps(definitions, indent=2))
    database = _kept(folder / "mongo_password", secrets.token_urlsafe(24))
    _write(folder / "mongo_url", f"mongodb://sms:{database}@mongodb/?authSource=sms&replicaSet=rs0")
    _kept(folder / "mongo_keyfile", base64.b64encode(os.urandom(512)).decode())
    for name in ("mongo_root_password", "hash_key", "grafana_admin_password"):
        _kept(folder / name, secrets.token_urlsafe(32))
    tokens = {
        provider: _kept(folder / f"{role}_report_token", secrets.token_urlsafe(24))
        for role, provider in (("target", "africastalking"), ("legacy", "legacy"))
    }
    _write(folder / "webhook_tokens", json.dumps(tokens))
    missing = [name for name in BY_HAND if not (folder / name).exists()]
    for name in missing:
        sys.stderr.write(f"write {BY_HAND[name]} into {folder / name}\n")
    return 1 if missing else 0


def password_hash(password: str, salt: bytes | None = None) -> str:
    """A password as RabbitMQ keeps it: https://www.rabbitmq.com/docs/passwords."""
    salt = salt or os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _kept(file: Path, value: str) -> str:
    """The value in the file; it is written first if there is none."""
    if not file.exists():
        _write(file, value)
    return file.read_text(encoding="utf-8").strip()


def _write(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o444)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "secrets"))
