"""Certificate, key and authorities in files that are replaced while the process runs.

Files change one after the other and may be read half-written. So a set of them counts only if it fits together; until then,
the last one that did stays in use and the log says so once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from synapsenet.errors import FailedPrecondition
from synapsenet_servers.security.options import SecurityOptions

_log = logging.getLogger(__name__)

T = TypeVar("T")

_Signature = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """PEM texts that fit together."""

    authorities: bytes
    chain: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Credentials(…)"


class CertificateFiles:
    """The newest usable content of three files; may be asked from any thread, and reads only what changed.

    Raises:
        FailedPrecondition: CERTIFICATE_UNUSABLE, what stands there at the start does not fit together.
    """

    def __init__(self, *, ca: Path, certificate: Path, key: Path) -> None:
        self._paths = (ca, certificate, key)
        self._lock = threading.Lock()
        self._seen: _Signature | None = None
        self._refused = ""
        self._generation = 0
        self._newest = self._first()

    def newest(self) -> tuple[int, Credentials]:
        """The credentials, and a number that grows with every change of theirs."""
        with self._lock:
            self._look()
            return self._generation, self._newest

    def _first(self) -> Credentials:
        try:
            self._seen = self._signature()
            return self._read()
        except (OSError, ValueError) as problem:
            raise FailedPrecondition(
                "CERTIFICATE_UNUSABLE",
                f"{_told(problem)}",
                field="security.certificate_file",
                remedy="name PEM files that belong together; `synapsenet certs init` makes some",
            ) from problem

    def _look(self) -> None:
        try:
            signature = self._signature()
            if signature == self._seen:
                return
            found = self._read()
        except (OSError, ValueError) as problem:
            if (told := _told(problem)) != self._refused:
                _log.warning("the new certificate is not used, the old one stays: %s", told)
                self._refused = told
            return
        self._seen, self._refused = signature, ""
        if found != self._newest:
            self._newest = found
            self._generation += 1
            _log.warning("%s is used from now on", self._paths[1])

    def _signature(self) -> _Signature:
        states = [path.stat() for path in self._paths]
        return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)

    def _read(self) -> Credentials:
        authorities, chain, key = (path.read_bytes() for path in self._paths)
        ca, certificate, private = self._paths
        _parsed(ca, lambda: x509.load_pem_x509_certificates(authorities))
        leaf = _parsed(certificate, lambda: x509.load_pem_x509_certificates(chain))[0]
        owner = _parsed(private, lambda: load_pem_private_key(key, password=None))
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if leaf.public_key().public_bytes(*form) != owner.public_key().public_bytes(*form):
            raise ValueError(f"{private} is not the key of {certificate}")
        return Credentials(authorities=authorities, chain=chain, key=key)


def _parsed(path: Path, parse: Callable[[], T]) -> T:
    try:
        return parse()
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise ValueError(f"{path} holds no PEM that can be read") from problem


def _told(problem: OSError | ValueError) -> str:
    """What is wrong, naming the file and nothing of its content."""
    if isinstance(problem, OSError):
        return f"{problem.filename} cannot be read ({problem.strerror})"
    return str(problem)


def mesh_files(options: SecurityOptions) -> CertificateFiles | None:
    """The files of this process's own identity; None if there are to be none."""
    if not options.secured:
        return None
    return CertificateFiles(ca=Path(options.ca_file), certificate=Path(options.certificate_file), key=Path(options.key_file))
