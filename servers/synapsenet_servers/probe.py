"""Whether a server of the platform is healthy: what containers and `synapsenet up` ask before anything is sent there.

    python -m synapsenet_servers.probe ADDRESS [--service NAME] [--ca FILE --certificate FILE --key FILE]

It imports little, because it is run every few seconds beside each process.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

# Every certificate of ours names it, whatever the address under which a server is asked.
_NAME = "localhost"
_ANSWER_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTls:
    """PEM files: who signed the server's certificate, and what is shown to it."""

    ca: Path
    certificate: Path
    key: Path


def is_serving(address: str, service: str = "", *, tls: ProbeTls | None = None, within: float = _ANSWER_S) -> bool:
    """Whether the server at `address`, `host:port` or `unix:PATH`, serves `service`; never raises.

    Args:
        service: full name; empty: the server as a whole.
        within: seconds.
    """
    try:
        with _channel(address, tls) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=within, wait_for_ready=True)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
    except (grpc.RpcError, OSError):
        return False


def _channel(address: str, tls: ProbeTls | None) -> grpc.Channel:
    if tls is None:
        return grpc.insecure_channel(address)
    credentials = grpc.ssl_channel_credentials(tls.ca.read_bytes(), tls.key.read_bytes(), tls.certificate.read_bytes())
    return grpc.secure_channel(address, credentials, options=[("grpc.ssl_target_name_override", _NAME)])


def main() -> int:
    parser = argparse.ArgumentParser(prog="probe", description="Exits 0 if the server is healthy, 1 if it is not.")
    parser.add_argument("address", help="HOST:PORT or unix:PATH")
    parser.add_argument("--service", default="", help="full name of a gRPC service; by default the server as a whole")
    parser.add_argument("--ca", type=Path, help="PEM file of the authorities; with it, TLS is spoken")
    parser.add_argument("--certificate", type=Path, help="PEM file that is shown to the server")
    parser.add_argument("--key", type=Path, help="PEM file of its key")
    asked = parser.parse_args()
    tls = ProbeTls(ca=asked.ca, certificate=asked.certificate, key=asked.key) if asked.ca else None
    return 0 if is_serving(asked.address, asked.service, tls=tls) else 1


if __name__ == "__main__":
    sys.exit(main())
