"""What an operator may set of certificates, identities and tokens; and which binds go together with which of them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from synapsenet.errors import InvalidArgument

_TRUST_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,253}[a-z0-9])?")
_PAIRS = (
    ("certificate_file", "key_file"),
    ("edge_certificate_file", "edge_key_file"),
    ("public_certificate_file", "public_key_file"),
)
_POSITIVE = ("token_cache_entries", "jwks_max_age_s", "jwks_shortest_refresh_s", "jwks_timeout_s")
_NOT_NEGATIVE = ("token_cache_s", "token_grace_s", "leeway_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityOptions:
    """Certificates, identities and tokens of the cluster profile. Files are PEM; changed ones count from the next handshake on.

    Without `certificate_file` nothing is encrypted and nobody is asked who they are: for loopback alone.

    Attributes:
        ca_file: authorities whose certificates are trusted; more than one while they are exchanged.
        certificate_file: this process's certificate, with the identity of the mesh.
        key_file: its private key.
        edge_certificate_file: the certificate, with the identity of the edge, that Envoy shows to services for outside calls.
        edge_key_file: its private key.
        public_certificate_file: the certificate that Envoy shows to clients at the edge; without it the edge speaks plain text.
        public_key_file: its private key.
        trust_domain: the name in the identities: `spiffe://<trust_domain>/mesh` and `…/edge`.
        tokens: calls from outside need a bearer token; without, any certificate of the authorities is enough.
        anonymous: calls through the edge need no token; only while the edge listens on loopback.
        insecure: the operator says that what is not loopback may do without TLS or without tokens.
        token_cache_s: seconds for which a token is not looked up again; as long may a revoked one still pass.
        token_grace_s: seconds for which a token that was looked up still passes while the token store does not answer.
        token_cache_entries: tokens remembered at one time.
        jwks: file or URL (https, or http on loopback) of an identity provider's JSON Web Keys; empty: none.
        issuer: `iss` that such a token must have.
        audience: `aud` that such a token must have.
        scope_claim: the claim with its scopes: a list, or one text with spaces between.
        leeway_s: seconds by which clocks may differ from the identity provider's.
        jwks_max_age_s: seconds after which the keys are read again.
        jwks_shortest_refresh_s: seconds between two readings, also if a token names a key that is not known.
        jwks_timeout_s: seconds that the URL may take to answer.
    """

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    edge_certificate_file: str = ""
    edge_key_file: str = ""
    public_certificate_file: str = ""
    public_key_file: str = ""
    trust_domain: str = "synapsenet"
    tokens: bool = True
    anonymous: bool = False
    insecure: bool = False
    token_cache_s: float = 2.0
    token_grace_s: float = 60.0
    token_cache_entries: int = 10_000
    jwks: str = ""
    issuer: str = ""
    audience: str = ""
    scope_claim: str = "scope"
    leeway_s: float = 30.0
    jwks_max_age_s: float = 300.0
    jwks_shortest_refresh_s: float = 10.0
    jwks_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        for certificate, key in _PAIRS:
            if bool(getattr(self, certificate)) != bool(getattr(self, key)):
                missing = key if getattr(self, certificate) else certificate
                raise _wrong(missing, f"name it too: {certificate} and {key} belong together")
        if (self.certificate_file or self.edge_certificate_file) and not self.ca_file:
            raise _wrong("ca_file", "name the authority that signed the certificates")
        if not _TRUST_DOMAIN.fullmatch(self.trust_domain):
            raise _wrong("trust_domain", "use lower-case letters, digits, dots, dashes and underscores")
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise _wrong(name, "choose more than 0")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise _wrong(name, "choose 0 or more")
        self._check_jwks()

    def _check_jwks(self) -> None:
        if not self.jwks:
            return
        for name in ("issuer", "audience", "scope_claim"):
            if not getattr(self, name):
                raise _wrong(name, "name it: without it, tokens made for other platforms would pass")
        url = urlsplit(self.jwks)
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            raise _wrong("jwks", "use https: who answers http could be anybody")
        if "://" in self.jwks and url.scheme not in ("http", "https"):
            raise _wrong("jwks", "give the path of a file, or a URL with https")

    @property
    def secured(self) -> bool:
        """The services are reached by mutual TLS only, and ask who calls."""
        return bool(self.certificate_file)

    @property
    def mesh_identity(self) -> str:
        return f"spiffe://{self.trust_domain}/mesh"

    @property
    def edge_identity(self) -> str:
        return f"spiffe://{self.trust_domain}/edge"


def check_services_bind(options: SecurityOptions, host: str) -> None:
    """Pass if services may listen on `host`: on loopback, or by TLS with tokens.

    Raises:
        InvalidArgument: SERVICES_EXPOSED.
    """
    if is_loopback(host) or options.insecure:
        return
    if not options.secured or not options.tokens:
        raise InvalidArgument(
            "SERVICES_EXPOSED",
            f"services on {host} can be reached from other machines without {_lacking(options.secured)}",
            field="security.tokens" if options.secured else "security.certificate_file",
            remedy="set it, bind a loopback address, or set security.insecure",
        )


def check_edge_bind(options: SecurityOptions, host: str) -> None:
    """Pass if the edge may listen on `host`: on loopback, or by TLS with tokens; and if services would know it.

    Raises:
        InvalidArgument: EDGE_UNPROTECTED, EDGE_IDENTITY_MISSING.
    """
    if options.secured and not options.edge_certificate_file:
        raise InvalidArgument(
            "EDGE_IDENTITY_MISSING",
            "services would turn the edge away",
            field="security.edge_certificate_file",
            remedy="name a certificate with the identity of the edge, or set mesh.edge to false",
        )
    if is_loopback(host) or options.insecure:
        return
    encrypted = bool(options.public_certificate_file)
    asks = options.secured and options.tokens and not options.anonymous
    if not encrypted or not asks:
        raise InvalidArgument(
            "EDGE_UNPROTECTED",
            f"the edge on {host} can be reached from other machines without {_lacking(encrypted)}",
            field="security.tokens" if encrypted else "security.public_certificate_file",
            remedy="set it (with security.certificate_file, and without security.anonymous), bind a loopback address, "
            "or set security.insecure",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`, an IP address or a name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _lacking(encrypted: bool) -> str:
    return "tokens" if encrypted else "TLS"


def _wrong(name: str, remedy: str) -> InvalidArgument:
    return InvalidArgument("SECURITY_OPTION_INVALID", field=f"security.{name}", remedy=remedy)
