"""TLS: a platform whose authority is trusted is spoken to, another is not, and a client certificate is shown when asked for."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from synapsenet_api.models.v1 import model_service_pb2 as models
from synapsenet_api.models.v1.model_pb2 import Model
from synapsenet_client import Options, Retries, Tls, Unavailable, connect
from tests.integration.clients.scripted import ScriptedPlatform

ONCE = Retries(attempts=1)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    key, pem = folder / f"{name}.key", folder / f"{name}.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*command, *subject, "-keyout", key, "-out", pem], check=True, capture_output=True, timeout=60)  # ours
    return pem, key


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tls")
    for name in ("platform", "stranger", "client"):
        certificate(made, name)
    return made


@pytest.fixture
def target(folder: Path) -> Iterator[str]:
    platform = ScriptedPlatform()
    platform.answers["GetModel"] = models.GetModelResponse(model=Model(id="mdl-1"))
    server = grpc.server(ThreadPoolExecutor(2), handlers=[platform])
    pair = ((folder / "platform.key").read_bytes(), (folder / "platform.pem").read_bytes())
    authority = (folder / "client.pem").read_bytes()
    credentials = grpc.ssl_server_credentials([pair], root_certificates=authority, require_client_auth=True)
    port = server.add_secure_port("localhost:0", credentials)
    server.start()
    yield f"localhost:{port}"
    server.stop(0).wait(5)


def test_a_trusted_platform_answers_a_client_that_shows_its_certificate(folder: Path, target: str) -> None:
    tls = Tls(ca=folder / "platform.pem", certificate=folder / "client.pem", key=folder / "client.key")
    options = Options(tls=tls, token="secret", retries=ONCE)  # no real one
    with connect(target, options=options) as client:
        assert client.models.get("digits").id == "mdl-1"


def test_a_name_that_the_certificate_has_can_be_expected_at_another_address(folder: Path, target: str) -> None:
    tls = Tls(ca=folder / "platform.pem", certificate=folder / "client.pem", key=folder / "client.key", server_name="localhost")
    with connect(target.replace("localhost", "ipv4:127.0.0.1"), options=Options(tls=tls, retries=ONCE)) as client:
        assert client.models.get("digits").id == "mdl-1"


@pytest.mark.parametrize(
    ("authority", "shown"), [("stranger", "client"), ("platform", "stranger")], ids=["stranger-platform", "stranger-client"]
)
def test_neither_side_speaks_to_a_stranger(folder: Path, target: str, authority: str, shown: str) -> None:
    tls = Tls(ca=folder / f"{authority}.pem", certificate=folder / f"{shown}.pem", key=folder / f"{shown}.key")
    with connect(target, options=Options(tls=tls, retries=ONCE)) as client, pytest.raises(Unavailable):
        client.models.get("digits")
