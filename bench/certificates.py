"""A private CA for one run: the server's certificate, and one for each terminal."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAMED: Final = "spiffe://campus/terminal/"
_PEM: Final = serialization.Encoding.PEM
_DAYS: Final = 2


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files: of the CA, and for a server and each terminal one with certificate and key."""

    ca: Path
    server: Path
    terminals: list[Path]

    def front_toml(self) -> str:
        """Return the lines of ``[front]`` that make the server ask terminals for certificates."""
        return f'certificate = "{self.server}"\nkey = "{self.server}"\nterminal_ca = "{self.ca}"\n'


def issue(directory: Path, terminals: list[str]) -> Certificates:
    """Make a CA on the curve P-256 and what it issues, good for two days around now."""
    directory.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench CA")])
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    root = _builder(name, name, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    ca = directory / "ca.pem"
    ca.write_bytes(root.sign(key, hashes.SHA256()).public_bytes(_PEM))

    def leaf(file: str, alternative: x509.GeneralName) -> Path:
        own = ec.generate_private_key(ec.SECP256R1())
        made = _builder(subject, name, own).add_extension(
            x509.SubjectAlternativeName([alternative]), critical=False
        )
        path = directory / file
        path.write_bytes(
            made.sign(key, hashes.SHA256()).public_bytes(_PEM)
            + own.private_bytes(
                _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        path.chmod(0o600)
        return path

    server = leaf("server.pem", x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    named = [leaf(f"{one}.pem", x509.UniformResourceIdentifier(NAMED + one)) for one in terminals]
    return Certificates(ca, server, named)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=_DAYS / 2))
        .not_valid_after(now + dt.timedelta(days=_DAYS / 2))
    )
