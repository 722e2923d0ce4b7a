"""gRPC credentials from certificate files: servers look at each handshake whether they changed."""

from __future__ import annotations

import grpc

from synapsenet_servers.security.certificate_files import CertificateFiles, Credentials, mesh_files
from synapsenet_servers.security.options import SecurityOptions


def server_credentials(options: SecurityOptions) -> grpc.ServerCredentials | None:
    """Mutual TLS for a server of the platform; None if the options name no certificate.

    Whoever connects must show a certificate of our authorities: there is no anonymous connection to a service.

    Raises:
        FailedPrecondition: CERTIFICATE_UNUSABLE.
    """
    files = mesh_files(options)
    return None if files is None else serving_credentials(files)


def serving_credentials(files: CertificateFiles) -> grpc.ServerCredentials:
    """Mutual TLS with the newest content of `files`, without a restart."""
    _, newest = files.newest()
    # The same credentials may serve several addresses, each with a state of its own in the runtime: told to keep what it has
    # (None), the second one would have nothing. Building a context costs little beside a handshake.
    return grpc.dynamic_ssl_server_credentials(
        _configuration(newest), lambda: _configuration(files.newest()[1]), require_client_authentication=True
    )


def channel_credentials(newest: Credentials) -> grpc.ChannelCredentials:
    """For a channel that shows its own certificate."""
    return grpc.ssl_channel_credentials(newest.authorities, newest.key, newest.chain)


def _configuration(newest: Credentials) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(newest.key, newest.chain)], newest.authorities)
