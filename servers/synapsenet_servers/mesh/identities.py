"""The certificates that Envoy shows and trusts, as files that it watches (SDS): replaced certificates need no restart.

The secrets name the operator's own files; Envoy reads them anew when something is moved within their folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from synapsenet_servers.mesh.typed import Tree, named, typed
from synapsenet_servers.security.options import SecurityOptions

_SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - the name of a message
_TLS = "envoy.extensions.transport_sockets.tls.v3"
EDGE, MESH, PUBLIC, AUTHORITIES = "edge", "mesh", "public", "authorities"


def secret_files(options: SecurityOptions, folder: Path) -> Mapping[str, Path]:
    """Write the secrets that `options` name certificates for; by name, where each is."""
    secrets: dict[str, Tree] = {}
    for name, certificate, key in (
        (MESH, options.certificate_file, options.key_file),
        (EDGE, options.edge_certificate_file, options.edge_key_file),
        (PUBLIC, options.public_certificate_file, options.public_key_file),
    ):
        if certificate:
            secrets[name] = {
                "tls_certificate": {
                    "certificate_chain": _file(certificate),
                    "private_key": _file(key),
                    "watched_directory": _folder(certificate),
                }
            }
    if options.ca_file:
        secrets[AUTHORITIES] = {
            "validation_context": {"trusted_ca": _file(options.ca_file), "watched_directory": _folder(options.ca_file)}
        }
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, secret in secrets.items():
        paths[name] = folder / f"{name}.json"
        draft = folder / f"{name}.draft"
        draft.write_text(json.dumps({"resources": [typed(_SECRET, name=name, **secret)]}, indent=1))
        os.replace(draft, paths[name])  # noqa: PTH105 - the rename is what Envoy waits for
    return paths


def to_services(secrets: Mapping[str, Path], *, shown: str, expected: str) -> Tree:
    """How a cluster speaks to services: showing the identity `shown`, taking nobody for one but `expected`; {} without TLS."""
    if MESH not in secrets:
        return {}
    validation = {
        "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": expected}}]},
        "validation_context_sds_secret_config": _secret(secrets, AUTHORITIES),
    }
    own = [_secret(secrets, shown)] if shown in secrets else []
    context = {
        "tls_certificate_sds_secret_configs": own,
        "combined_validation_context": validation,
        "alpn_protocols": ["h2"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
    }
    return {"transport_socket": named("envoy.transport_sockets.tls", f"{_TLS}.UpstreamTlsContext", common_tls_context=context)}


def to_people(secrets: Mapping[str, Path]) -> Tree:
    """How a listener of the edge speaks to its clients; {} without TLS."""
    if PUBLIC not in secrets:
        return {}
    context = {
        "tls_certificate_sds_secret_configs": [_secret(secrets, PUBLIC)],
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
    }
    return {
        "transport_socket": named("envoy.transport_sockets.tls", f"{_TLS}.DownstreamTlsContext", common_tls_context=context)
    }


def _secret(secrets: Mapping[str, Path], name: str) -> Tree:
    source = {"path_config_source": {"path": str(secrets[name])}, "resource_api_version": "V3"}
    return {"name": name, "sds_config": source}


def _file(path: str) -> Tree:
    return {"filename": str(Path(path).absolute())}


def _folder(path: str) -> Tree:
    return {"path": str(Path(path).absolute().parent)}
