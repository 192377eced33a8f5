"""The certificate that pictures are signed with: the studio's own, made on first use, or one that was bought.

The own one is worth this much: whoever has this data folder can tell that a picture came from it unchanged, and
everybody can tell that the picture was not changed since somebody signed it. It proves nobody's name, and programs
that read credentials call it untrusted. Its root is made with it and signs nothing else: the root's key is thrown
away, so that nobody can make another certificate in its name.
"""

import contextlib
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sdxl_lora import files
from sdxl_lora.errors import ProvenanceError
from sdxl_lora.provenance.settings import SigningSettings

OWN_ORGANISATION = "Apparel Studio, self-made certificate"
_VALID = timedelta(days=3650)  # without a time stamp signatures end with the certificate
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_PEM = serialization.Encoding.PEM

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who signs."""

    chain: bytes  # PEM, the signer's certificate first
    key: bytes  # PEM, PKCS #8, not encrypted
    algorithm: str  # of COSE, as C2PA names it
    own: bool  # made by this studio for itself

    @property
    def serial(self) -> int:
        """Number of the signer's certificate."""
        return x509.load_pem_x509_certificates(self.chain)[0].serial_number

    @property
    def root(self) -> bytes:
        """PEM of the last certificate of the chain."""
        return x509.load_pem_x509_certificates(self.chain)[-1].public_bytes(_PEM)


def identity(settings: SigningSettings, home: Path) -> Identity:
    """What to sign with. Makes the own certificate where there is none yet.

    Raises `ProvenanceError` where files are missing, no PEM, or do not belong together, `StorageError`.
    """
    if settings.certificate is not None and settings.key is not None:
        return _read(settings.certificate, settings.key)
    return own(home)


def own(home: Path) -> Identity:
    """The studio's own certificate, made on first use. Raises `ProvenanceError`, `StorageError`."""
    path = own_path(home)
    if not path.exists():
        _keep(path, _made())
    return _read(path, path, own=True)


def own_if_there(home: Path) -> Identity | None:
    """The studio's own certificate; None where nothing was signed with it yet, or it cannot be read."""
    try:
        return _read(own_path(home), own_path(home), own=True)
    except ProvenanceError:
        return None


def own_path(home: Path) -> Path:
    """Where key and certificates of the own one lie, in one file that only its owner may read."""
    return home / "provenance" / "own-certificate.pem"


def _read(certificate: Path, key: Path, *, own: bool = False) -> Identity:
    chain, secret = _bytes(certificate), _bytes(key)
    try:
        certificates = x509.load_pem_x509_certificates(chain)
        private = serialization.load_pem_private_key(_only_key(secret), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ProvenanceError(
            f"{certificate} and {key} cannot be used to sign: {error}; they must be PEM, and the key not encrypted"
        ) from error
    algorithm = _algorithm(private)
    if algorithm is None:
        raise ProvenanceError(f"{key} is of a kind that C2PA does not sign with; use ECDSA, Ed25519 or RSA")
    if certificates[0].public_key() != private.public_key():
        raise ProvenanceError(f"{key} is not the key of the first certificate in {certificate}")
    return Identity(
        chain=b"".join(one.public_bytes(_PEM) for one in certificates),
        key=private.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        algorithm=algorithm,
        own=own,
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProvenanceError(f"{path} cannot be read: {error.strerror or error}") from error


def _only_key(pem: bytes) -> bytes:
    """The part of a file that is a private key; some keep it together with the certificates."""
    begin, end = pem.find(b"-----BEGIN"), pem.find(b"-----END CERTIFICATE-----")
    while end != -1 and pem[begin:].startswith(b"-----BEGIN CERTIFICATE-----"):
        begin = pem.find(b"-----BEGIN", end)
        end = pem.find(b"-----END CERTIFICATE-----", begin)
    return pem[begin:] if begin != -1 else pem


def _algorithm(key: object) -> str | None:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _CURVES.get(key.curve.name)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    return "ps256" if isinstance(key, rsa.RSAPrivateKey) else None


def _made() -> bytes:
    """PEM of a new key, its certificate and the root of that."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    number = secrets.token_hex(4)
    root_name, name = _name(f"Apparel Studio root {number}"), _name(f"Apparel Studio {number}")
    root_public = root_key.public_key()
    root = _certificate(root_name, root_name, root_public)
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    root = root.add_extension(_usage(key_cert_sign=True), critical=True)
    leaf = _certificate(name, root_name, key.public_key())
    leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    leaf = leaf.add_extension(_usage(digital_signature=True), critical=True)
    leaf = leaf.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
    )  # C2PA 2.1, 14.5.1: one that signs claims has this or a purpose of its own
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_public)
    leaf = leaf.add_extension(authority, critical=False)
    return b"".join(
        (
            key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
            leaf.sign(root_key, hashes.SHA256()).public_bytes(_PEM),
            root.sign(root_key, hashes.SHA256()).public_bytes(_PEM),
        )
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # other machines' clocks may be behind
        .not_valid_after(now + _VALID)
        .add_extension(identifier, critical=False)
    )


def _name(common: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, OWN_ORGANISATION)
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _keep(path: Path, pem: bytes) -> None:
    """Writes the file for its owner alone, unless another process was first: both then use the first one."""
    with files.storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{secrets.token_hex(8)}{files.TEMPORARY_SUFFIX}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
