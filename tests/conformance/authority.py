"""A private CA for tests: a server's certificate, and terminals'."""

import datetime as dt
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAMED = "spiffe://campus/terminal/"
PEM = serialization.Encoding.PEM


class Leaf:
    """A certificate and its key, as PEM."""

    def __init__(self, certificate, key):
        self.chain = certificate.public_bytes(PEM)
        self.der = certificate.public_bytes(serialization.Encoding.DER)
        self.key = key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


class Authority:
    """Issues certificates that end so many days from now."""

    def __init__(self, name="Campus", *, days=1):
        self._days = days
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = self._builder(self._name, self._key.public_key())
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.pem = made.sign(self._key, hashes.SHA256()).public_bytes(PEM)

    def server(self):
        """Issue one for localhost."""
        return self._leaf(
            x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        )

    def terminal(self, terminal_id):
        return self.uri(NAMED + terminal_id)

    def uri(self, uri):
        return self._leaf(x509.UniformResourceIdentifier(uri))

    def _leaf(self, *names):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")])
        made = self._builder(subject, key.public_key())
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return Leaf(made.sign(self._key, hashes.SHA256()), key)

    def _builder(self, subject, public_key):
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=100))
            .not_valid_after(now + dt.timedelta(days=self._days))
        )
