"""A certificate authority of the tests, and those it vouches for."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Credentials:
    """A certificate and its key, PEM."""

    certificate_file: Path
    key_file: Path


class Authority:
    """Signs certificates.

    Parameters
    ----------
    folder
        Where its files go.
    name
        Whose it is; files are called after it.
    """

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, self._key.public_key(), timedelta(days=1), hosts=(), authority=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def vouch_for(
        self, name: str, *, hosts: tuple[str, ...] = ("127.0.0.1",), expires_days: float = 1.0
    ) -> Credentials:
        """Make a key, and a certificate of it for some hosts: names or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key.public_key(), timedelta(days=expires_days), hosts=hosts, authority=False)
        credentials = Credentials(self._folder / f"{self._name}-{name}.pem", self._folder / f"{self._name}-{name}.key")
        credentials.certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        credentials.key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return credentials

    def _sign(
        self, name: str, key: ec.EllipticCurvePublicKey, lifetime: timedelta, *, hosts: tuple[str, ...], authority: bool
    ) -> x509.Certificate:
        subject, issuer = (
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]) for common in (name, self._name)
        )
        end = datetime.now(UTC) + lifetime
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - timedelta(days=30))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), False)
        return builder.sign(self._key, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
