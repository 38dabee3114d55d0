"""Certificates of an authority of our own, as files, and servers that use them."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path

    from worker.lab.local.port import Port


class Certificates:
    """An authority and what it signed, in one folder.

    Args:
        directory: for the files.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._authority = trustme.CA()
        self.ca = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))
        self.server = self.issued("server", "127.0.0.1")
        self.client = self.issued("client", "worker.example")

    def issued(self, file: str, name: str) -> tuple[Path, Path]:
        """A certificate for `name`: the files of its chain and of its key."""
        made = self._authority.issue_cert(name)
        chain, key = self._directory / f"{file}.crt", self._directory / f"{file}.key"
        for each in made.cert_chain_pems:
            each.write_to_path(str(chain), append=True)
        made.private_key_pem.write_to_path(str(key))
        return chain, key

    def context(self) -> ssl.SSLContext:
        """For a server in this process, which wants no certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.server)
        return context

    def of_broker(self, port: Port) -> tuple[str, ...]:
        """Settings of a RabbitMQ that also speaks TLS, and then wants our client certificate."""
        chain, key = self.server
        return (
            f"listeners.ssl.1 = 127.0.0.1:{port}",
            f"ssl_options.cacertfile = {self.ca}",
            f"ssl_options.certfile = {chain}",
            f"ssl_options.keyfile = {key}",
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = true",
        )

    def of_database(self) -> tuple[str, ...]:
        """Arguments of a mongod that also takes TLS, and then wants our client certificate."""
        return (
            *("--tlsMode", "preferTLS", "--tlsCAFile", str(self.ca)),
            *("--tlsCertificateKeyFile", str(self._both(self.server))),
        )

    def broker_options(self, *, client: bool = True) -> str:
        """Options of `AMQP_URL` that trust us and show the client certificate."""
        chain, key = self.client
        return f"cafile={self.ca}" + (f"&certfile={chain}&keyfile={key}" if client else "")

    def database_options(self, *, client: bool = True) -> str:
        """The same for `MONGO_URL`."""
        ours = f"&tlsCertificateKeyFile={self._both(self.client)}" if client else ""
        return f"tls=true&tlsCAFile={self.ca}{ours}"

    def _both(self, files: tuple[Path, Path]) -> Path:
        """One file with key and chain, as MongoDB and its driver want it."""
        chain, key = files
        both = chain.with_suffix(".pem")
        both.write_bytes(key.read_bytes() + chain.read_bytes())
        return both
