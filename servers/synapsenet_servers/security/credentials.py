"""gRPC credentials from certificate files: servers look at each handshake whether they changed."""

from __future__ import annotations

import time

import grpc

from synapsenet_servers.security.certificate_files import CertificateFiles, Credentials, mesh_files
from synapsenet_servers.security.options import SecurityOptions

# The runtime asks credentials at a handshake without holding them: one that begins while its server ends would find them gone.
_IN_USE: list[grpc.ServerCredentials] = []

# The runtime exchanges what handshakes are made from while others that have just asked may not have begun. Those that come
# meanwhile wait, so that after this pause there are none.
_OTHERS_HAVE_BEGUN_S = 0.2


def server_credentials(options: SecurityOptions) -> grpc.ServerCredentials | None:
    """Mutual TLS for one address of a server of the platform; None if the options name no certificate.

    Whoever connects must show a certificate of our authorities: there is no anonymous connection to a service.

    Raises:
        FailedPrecondition: CERTIFICATE_UNUSABLE.
    """
    files = mesh_files(options)
    return None if files is None else serving_credentials(files)


def serving_credentials(files: CertificateFiles) -> grpc.ServerCredentials:
    """Mutual TLS for one address, with the newest content of `files`, without a restart.

    For one only: each address asks for itself, and who has been told of a change is not told again.
    """
    told, newest = files.newest()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal told
        generation, newest = files.newest()
        if generation == told:
            return None
        time.sleep(_OTHERS_HAVE_BEGUN_S)
        told = generation
        return _configuration(newest)

    made = grpc.dynamic_ssl_server_credentials(
        _configuration(newest),
        changed,  # type: ignore[arg-type]  # its stubs leave out that None changes nothing
        require_client_authentication=True,
    )
    _IN_USE.append(made)
    return made


def channel_credentials(newest: Credentials) -> grpc.ChannelCredentials:
    """For a channel that shows its own certificate."""
    return grpc.ssl_channel_credentials(newest.authorities, newest.key, newest.chain)


def _configuration(newest: Credentials) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(newest.key, newest.chain)], newest.authorities)
