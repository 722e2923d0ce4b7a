"""Who may listen where: what can be reached from other machines needs TLS and tokens, or the operator's word."""

from __future__ import annotations

from typing import Any

import pytest

from synapsenet.errors import InvalidArgument
from synapsenet_servers.security.options import SecurityOptions, check_edge_bind, check_services_bind

MESH: dict[str, Any] = {"ca_file": "ca.pem", "certificate_file": "mesh.pem", "key_file": "mesh.key"}
EDGE: dict[str, Any] = {**MESH, "edge_certificate_file": "edge.pem", "edge_key_file": "edge.key"}
PUBLIC: dict[str, Any] = {**EDGE, "public_certificate_file": "public.pem", "public_key_file": "public.key"}
EVERYWHERE = "0.0.0.0"


def options(files: dict[str, Any], **changed: Any) -> SecurityOptions:
    return SecurityOptions(**files, **changed)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.4.5", "::1", "[::1]", "localhost"])
def test_on_loopback_nothing_is_asked(host: str) -> None:
    check_services_bind(SecurityOptions(), host)
    check_edge_bind(SecurityOptions(), host)
    check_edge_bind(options(EDGE, anonymous=True), host)


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "[::]", "10.0.0.1", "mesh.example", ""])
@pytest.mark.parametrize(
    ("given", "field"),
    [
        (SecurityOptions(), "security.certificate_file"),
        (options(MESH, tokens=False), "security.tokens"),
    ],
)
def test_services_that_others_reach_need_tls_and_tokens(host: str, given: SecurityOptions, field: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        check_services_bind(given, host)
    assert (refusal.value.reason, refusal.value.field) == ("SERVICES_EXPOSED", field)
    check_services_bind(options(MESH), host)
    check_services_bind(SecurityOptions(insecure=True), host)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (SecurityOptions(), "security.public_certificate_file"),
        (options(EDGE), "security.public_certificate_file"),
        (options(PUBLIC, tokens=False), "security.tokens"),
        (options(PUBLIC, anonymous=True), "security.tokens"),
    ],
)
def test_an_edge_that_others_reach_needs_tls_and_tokens_and_is_not_anonymous(given: SecurityOptions, field: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        check_edge_bind(given, EVERYWHERE)
    assert (refusal.value.reason, refusal.value.field) == ("EDGE_UNPROTECTED", field)
    check_edge_bind(options(PUBLIC), EVERYWHERE)
    check_edge_bind(options(PUBLIC, anonymous=True, insecure=True), EVERYWHERE)


def test_an_edge_that_services_would_turn_away_is_not_started() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        check_edge_bind(options(MESH), "127.0.0.1")
    assert refusal.value.reason == "EDGE_IDENTITY_MISSING"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"ca_file": ""}, "ca_file"),
        ({"key_file": ""}, "key_file"),
        ({"certificate_file": ""}, "certificate_file"),
        ({"edge_key_file": ""}, "edge_key_file"),
        ({"public_certificate_file": ""}, "public_certificate_file"),
        ({"trust_domain": "No/Domain"}, "trust_domain"),
        ({"trust_domain": ""}, "trust_domain"),
        ({"jwks_timeout_s": 0.0}, "jwks_timeout_s"),
        ({"token_cache_s": -1.0}, "token_cache_s"),
        ({"token_cache_entries": 0}, "token_cache_entries"),
    ],
)
def test_options_that_do_not_go_together_are_refused_by_name(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        SecurityOptions(**{**PUBLIC, **wrong})
    assert refusal.value.field == f"security.{field}"


def test_the_identities_are_of_the_trust_domain() -> None:
    given = options(MESH, trust_domain="ml.example")
    assert (given.mesh_identity, given.edge_identity) == ("spiffe://ml.example/mesh", "spiffe://ml.example/edge")
