"""A development authority and the certificates of a cluster: made, shown, renewed.

EC keys on P-256, signed with SHA-256. A production cluster brings certificates of its own authority; what they need is what
stands in `PURPOSES`.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from synapsenet.errors import FailedPrecondition, InvalidArgument

AUTHORITY = "ca"
_AUTHORITY_LIFE = timedelta(days=3650)
_CLOCKS_DIFFER = timedelta(minutes=5)
_LOCAL = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What a certificate is for.

    Attributes:
        common_name: who shows it; PostgreSQL and etcd take a client's common name for its user.
        identity: last part of its SPIFFE id; empty: none.
        is_client: it may be shown by whoever connects.
    """

    common_name: str
    identity: str = ""
    is_client: bool = False


PURPOSES = {
    "mesh": Purpose(common_name="synapsenet", identity="mesh", is_client=True),
    "edge": Purpose(common_name="synapsenet-edge", identity="edge", is_client=True),
    "public": Purpose(common_name="synapsenet-public"),
    "etcd": Purpose(common_name="etcd", is_client=True),  # its members dial each other
    "postgres": Purpose(common_name="postgres"),
    "kafka": Purpose(common_name="kafka"),
    "client": Purpose(common_name="synapsenet-client", is_client=True),
}
"""By the name of the files: `mesh.pem` and `mesh.key`.

The mesh's certificate also opens etcd, PostgreSQL and Kafka; `client` is for people who call a service past the edge.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One certificate, for people.

    Attributes:
        names: its alternative names, the SPIFFE id included.
    """

    path: Path
    common_name: str
    names: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class _Signer:
    """An authority that can sign."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_all(
    folder: Path, *, hosts: Sequence[str], life: timedelta, now: datetime, trust_domain: str = "synapsenet", force: bool = False
) -> list[Path]:
    """Make an authority and a certificate for each purpose in `folder`; keys are open to this user alone.

    Args:
        hosts: names and addresses under which the machines are reached, beside the loopback ones.
        life: of the certificates; the authority lives ten years.
        force: overwrite what stands there.

    Raises:
        FailedPrecondition: CERTIFICATES_EXIST; FOLDER_NOT_WRITABLE.
        InvalidArgument: CERTIFICATE_LIFE_INVALID, HOST_NAME_INVALID.
    """
    _check_life(life)
    names = [_name(host) for host in dict.fromkeys((*_LOCAL, *hosts))]
    wanted = [folder / f"{name}{suffix}" for name in (AUTHORITY, *PURPOSES) for suffix in (".pem", ".key")]
    if not force and (there := [path.name for path in wanted if path.exists()]):
        raise FailedPrecondition(
            "CERTIFICATES_EXIST", f"{folder} has {there[0]} already", remedy="choose another folder, or give --force"
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        signer = _new_authority(now)
        _write(folder, AUTHORITY, signer.certificate, signer.key)
        for file, purpose in PURPOSES.items():
            key = ec.generate_private_key(ec.SECP256R1())
            _write(folder, file, _sign(_request(purpose, names, trust_domain, now), key, signer, now + life), key)
    except OSError as problem:
        raise _not_writable(folder, problem) from problem
    return [path for path in wanted if path.suffix == ".pem"]


def renew(folder: Path, *, life: timedelta, now: datetime, new_keys: bool = False) -> list[Path]:
    """Sign every certificate in `folder` anew, for the same names, by the authority that stands there; returns them.

    With its old key a certificate is exchanged in one step. With a new one there are two: a reader that comes between finds a
    pair that does not fit together, and keeps its old one.

    Raises:
        FailedPrecondition: CERTIFICATES_MISSING, there is no authority or no certificate; CERTIFICATE_UNUSABLE;
            FOLDER_NOT_WRITABLE.
        InvalidArgument: CERTIFICATE_LIFE_INVALID.
    """
    _check_life(life)
    signer = _read(folder, AUTHORITY)
    files = [file for file in PURPOSES if (folder / f"{file}.pem").exists()]
    if not files:
        raise _missing(folder)
    for file in files:
        old = _read(folder, file)
        key = ec.generate_private_key(ec.SECP256R1()) if new_keys else old.key
        renewed = _sign(_same_request(old.certificate, now), key, signer, now + life)
        try:
            _write(folder, file, renewed, key if new_keys else None)
        except OSError as problem:
            raise _not_writable(folder, problem) from problem
    return [folder / f"{file}.pem" for file in files]


def shown(folder: Path) -> list[Shown]:
    """The certificates in `folder`, in the order of their names.

    Raises:
        FailedPrecondition: CERTIFICATES_MISSING, there are none; CERTIFICATE_UNUSABLE.
    """
    found = []
    for path in sorted(folder.glob("*.pem")):
        try:
            certificates = x509.load_pem_x509_certificates(path.read_bytes())
        except (OSError, ValueError) as problem:
            raise _unusable(path) from problem
        found += [_show(path, certificate) for certificate in certificates]
    if not found:
        raise _missing(folder)
    return found


def _new_authority(now: datetime) -> _Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SynapseNet development authority")])
    usage = x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Signer(certificate, key)


def _request(purpose: Purpose, names: Sequence[x509.GeneralName], trust_domain: str, now: datetime) -> x509.CertificateBuilder:
    """What `purpose` asks to have signed."""
    identity = [x509.UniformResourceIdentifier(f"spiffe://{trust_domain}/{purpose.identity}")] if purpose.identity else []
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if purpose.is_client else [])]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, purpose.common_name)]))
        .not_valid_before(now - _CLOCKS_DIFFER)
        .add_extension(x509.SubjectAlternativeName([*names, *identity]), critical=False)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    )


def _same_request(old: x509.Certificate, now: datetime) -> x509.CertificateBuilder:
    """What `old` was asked for."""
    wish = x509.CertificateBuilder().subject_name(old.subject).not_valid_before(now - _CLOCKS_DIFFER)
    for kind in (x509.SubjectAlternativeName, x509.ExtendedKeyUsage):
        wish = wish.add_extension(old.extensions.get_extension_for_class(kind).value, critical=False)
    return wish


def _sign(
    wish: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: _Signer, not_after: datetime
) -> x509.Certificate:
    public = signer.certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    return (
        wish.issuer_name(signer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_after(min(not_after, signer.certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(signer.key, hashes.SHA256())
    )


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> None:
    """Put both in place by rename, the key first and private from its first byte."""
    if key is not None:
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _replace(folder / f"{name}.key", text, mode=0o600)
    _replace(folder / f"{name}.pem", certificate.public_bytes(Encoding.PEM), mode=0o644)


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _read(folder: Path, name: str) -> _Signer:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = load_pem_private_key(key.read_bytes(), password=None)
    except FileNotFoundError as problem:
        raise _missing(folder) from problem
    except (OSError, ValueError, TypeError) as problem:
        raise _unusable(certificate) from problem
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise _unusable(key)
    return _Signer(found, private)


def _show(path: Path, certificate: x509.Certificate) -> Shown:
    names: list[str] = []
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = [str(name.value) for name in extension.value]
    return Shown(
        path=path,
        common_name=_common_name(certificate.subject),
        names=tuple(names),
        issuer=_common_name(certificate.issuer),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not _HOST.fullmatch(host):
            raise InvalidArgument(
                "HOST_NAME_INVALID",
                f"{host!r} is no name of a machine",
                field="host",
                remedy="give a DNS name or an IP address",
            ) from None
        return x509.DNSName(host)


def _check_life(life: timedelta) -> None:
    if not timedelta(0) < life <= _AUTHORITY_LIFE:
        raise InvalidArgument(
            "CERTIFICATE_LIFE_INVALID", field="days", remedy=f"choose 1 to {_AUTHORITY_LIFE.days}, what the authority lives"
        )


def _missing(folder: Path) -> FailedPrecondition:
    return FailedPrecondition(
        "CERTIFICATES_MISSING", f"{folder} has no certificates", remedy="name the folder that `synapsenet certs init` made"
    )


def _unusable(path: Path) -> FailedPrecondition:
    return FailedPrecondition(
        "CERTIFICATE_UNUSABLE", f"{path} cannot be read as a certificate with its key", remedy="renew it, or take it away"
    )


def _not_writable(folder: Path, problem: OSError) -> FailedPrecondition:
    return FailedPrecondition(
        "FOLDER_NOT_WRITABLE", f"{folder} cannot be written ({problem.strerror})", remedy="choose a folder that you may write"
    )
