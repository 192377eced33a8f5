"""Whom a signature names: the studio's own certificate, or one that the operator brings."""

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from sdxl_lora.errors import ProvenanceError, StorageError
from sdxl_lora.provenance import certificate
from sdxl_lora.provenance.settings import SigningSettings

ROOT = Path(__file__).parents[2]
UNENCRYPTED = (
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)


def test_the_own_certificate_is_made_once_and_its_key_is_for_its_owner_alone(home: Path) -> None:
    first = certificate.own(home)
    path = certificate.own_path(home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert certificate.own(home) == first
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_own_certificate_is_valid_for_years_and_for_signing_only(home: Path) -> None:
    signer, root = x509.load_pem_x509_certificates(certificate.own(home).chain)
    signer.verify_directly_issued_by(root)
    assert signer.not_valid_before_utc < datetime.now(UTC) < signer.not_valid_after_utc - timedelta(days=3000)
    assert not signer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = signer.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)


def test_the_key_of_the_root_is_kept_nowhere(home: Path) -> None:
    text = certificate.own_path(home)
    certificate.own(home)
    pem = text.read_bytes()
    assert pem.count(b"PRIVATE KEY-----") == 2  # begin and end of one
    signer, root = x509.load_pem_x509_certificates(pem)
    key = serialization.load_pem_private_key(certificate.own(home).key, None)
    assert key.public_key() == signer.public_key() != root.public_key()


def test_processes_that_start_together_use_one_certificate(home: Path) -> None:
    code = (
        "from sdxl_lora import config; from sdxl_lora.provenance import certificate;"
        "print(certificate.own(config.home()).serial)"
    )
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate(timeout=60)[0] for process in running}) == 1


def test_one_that_was_brought_is_used_and_its_algorithm_follows_from_its_key(
    tmp_path: Path, home: Path
) -> None:
    own = certificate.own(home)
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(own.chain)
    key.write_bytes(own.key)
    brought = certificate.identity(SigningSettings(certificate=chain, key=key), tmp_path / "elsewhere")
    assert (brought.chain, brought.algorithm, brought.own) == (own.chain, "es256", False)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "es384"),
        (ec.generate_private_key(ec.SECP521R1()), "es512"),
        (ed25519.Ed25519PrivateKey.generate(), "ed25519"),
        (rsa.generate_private_key(65537, 2048), "ps256"),
    ],
)
def test_every_kind_of_key_that_c2pa_signs_with_is_known(
    key: certificate.PrivateKey, algorithm: str, tmp_path: Path
) -> None:
    pem = self_signed(key)
    (tmp_path / "both.pem").write_bytes(pem)
    both = SigningSettings(certificate=tmp_path / "both.pem", key=tmp_path / "both.pem")
    assert certificate.identity(both, tmp_path).algorithm == algorithm


def self_signed(key: certificate.PrivateKey) -> bytes:
    """PEM of the certificate, then of its key, as some authorities deliver both."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    hashed = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = builder.sign(key, hashed)
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*UNENCRYPTED)


def test_what_cannot_be_signed_with_is_refused_in_one_line(tmp_path: Path, home: Path) -> None:
    own, other = certificate.own(home), certificate.own(tmp_path / "other")
    files = {
        "chain": own.chain, "key": own.key, "stranger": other.key, "junk": b"\0 no PEM", "empty": b"",
        "dsa": dsa.generate_private_key(1024).private_bytes(*UNENCRYPTED),
        "locked": serialization.load_pem_private_key(own.key, None).private_bytes(
            *UNENCRYPTED[:2], serialization.BestAvailableEncryption(b"secret")
        ),
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    wrong = [
        ("chain", "stranger", "not the key of the first certificate"),
        ("junk", "key", "cannot be used to sign"),
        ("empty", "key", "cannot be used to sign"),
        ("chain", "junk", "cannot be used to sign"),
        ("chain", "locked", "not encrypted"),
        ("chain", "dsa", "use ECDSA, Ed25519 or RSA"),
        ("chain", "missing", "cannot be read"),
    ]
    for chain, key, said in wrong:
        with pytest.raises(ProvenanceError, match=said) as caught:
            certificate.identity(SigningSettings(certificate=tmp_path / chain, key=tmp_path / key), home)
        assert "\n" not in str(caught.value), (chain, key)


def test_a_data_folder_that_takes_no_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "provenance").write_text("a file where a folder should be")
    with pytest.raises((StorageError, ProvenanceError), match="provenance"):
        certificate.own(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="no owners there")
def test_the_file_is_never_open_to_others_not_even_for_a_moment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    link = os.link

    def watching(source: Path, target: Path) -> None:
        seen.append(stat.S_IMODE(os.stat(source).st_mode))
        link(source, target)

    monkeypatch.setattr(os, "link", watching)
    certificate.own(home)
    assert seen == [0o600]
