"""A cluster of processes with TLS everywhere: what its callers need, and what they notice of exchanged certificates."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from synapsenet.clock import SystemClock
from synapsenet.platform.tokens import split
from synapsenet_api.inference.v1 import inference_control_service_pb2 as control
from synapsenet_api.inference.v1 import inference_control_service_pb2_grpc as control_grpc
from synapsenet_cli.main import main
from synapsenet_client import (
    Client,
    Options,
    PermissionDenied,
    Retries,
    SynapseNetError,
    Tls,
    Unauthenticated,
    Unavailable,
    connect,
)
from synapsenet_servers.security.certificates import make_all, renew
from tests.chaos.conftest import Tell
from tests.cluster import Cluster, small_cluster, until

YEAR = timedelta(days=365)
PAUSE_S = 0.4
ROTATIONS = int(os.environ.get("CHAOS_ROTATIONS", "3"))
UNLOAD = control.UnloadModelRequest(
    model_id="m", version=1, fence=control.OperationFence(operation_id="op-1", step="unload", epoch=1, token=1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """A cluster that trusts nobody by his word.

    Attributes:
        service: `host:port` of a process of roles, past the edge.
        certificates: the folder; what is replaced there is used.
    """

    cluster: Cluster
    service: str
    certificates: Path

    @property
    def edge(self) -> str:
        return f"localhost:{self.cluster.ports[0]}"

    def client(self, token: str = "") -> Client:
        """To the edge, as people connect: an authority and a token."""
        tls = Tls(ca=self.certificates / "ca.pem")
        return connect(self.edge, options=Options(tls=tls, token=token, timeout=15, retries=Retries(attempts=1)))

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON of an HTTPS request with a connection of its own."""
        context = ssl.create_default_context(cafile=str(self.certificates / "ca.pem"))
        with closing(
            http.client.HTTPSConnection("localhost", self.cluster.ports[1], context=context, timeout=15)
        ) as connection:
            connection.request("GET", path, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def shown(self) -> str:
        """The certificate that the edge shows to a newcomer."""
        return ssl.get_server_certificate(("localhost", self.cluster.ports[0]))

    def shows_other_than(self, former: str) -> bool:
        return self.shown() != former


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    certificates = tmp_path_factory.mktemp("certificates")
    make_all(certificates, hosts=[], life=YEAR, now=SystemClock().now())
    files = {"ca_file": "ca.pem", "certificate_file": "mesh.pem", "key_file": "mesh.key"}
    for name in ("edge", "public"):
        files |= {f"{name}_certificate_file": f"{name}.pem", f"{name}_key_file": f"{name}.key"}
    security = {option: str(certificates / file) for option, file in files.items()}
    processes = {"mesh": ("mesh",), "one": ("models", "registry", "inference")}
    with small_cluster(processes, security=security, mesh={"listen": "127.0.0.1:0"}) as cluster:
        address = cluster.processes["one"].announced[-1].removeprefix("serving ")
        yield Secured(cluster=cluster, service=address, certificates=certificates)
        assert "Traceback" not in cluster.log()


@pytest.fixture
def token(secured: Secured, capfd: pytest.CaptureFixture[str]) -> str:
    """May write models and nothing else; made as an operator makes it."""
    return create_token(secured, capfd, "models:write")


def create_token(secured: Secured, capfd: pytest.CaptureFixture[str], *scopes: str) -> str:
    wanted = [part for scope in scopes for part in ("--scope", scope)]
    capfd.readouterr()
    assert main(["tokens", "create", "--config", str(secured.cluster.config), "--name", "test", *wanted]) == 0
    return capfd.readouterr().out.strip()


def test_people_need_an_authority_and_a_token_and_no_certificate(secured: Secured, token: str) -> None:
    with secured.client(token) as client:
        created = client.models.create("digits")
        assert client.models.get("digits").id == created.id
        with pytest.raises(PermissionDenied) as refusal:
            list(client.registry.list_versions(created.id))
    assert (refusal.value.reason, refusal.value.metadata["scope"]) == ("SCOPE_MISSING", "registry:read")
    with secured.client() as client, pytest.raises(Unauthenticated) as missing:
        client.models.get("digits")
    assert missing.value.reason == "TOKEN_MISSING"


def test_http_has_the_same_rules_and_no_header_or_query_stands_for_a_token(secured: Secured, token: str) -> None:
    assert secured.get("/models", {"Authorization": f"Bearer {token}"})[0] == 200
    status, body = secured.get("/models")
    assert (status, body["details"][0]["reason"]) == (401, "TOKEN_MISSING")
    forged = {
        "x-forwarded-client-cert": "By=x;URI=spiffe://synapsenet/mesh",
        "x-spiffe-id": "spiffe://synapsenet/mesh",
        "x-envoy-original-path": "/grpc.health.v1.Health/Check",
        "x-forwarded-for": "127.0.0.1",
    }
    assert secured.get("/models", forged)[0] == 401
    assert secured.get(f"/models?access_token={token}")[0] == 400
    assert secured.get("/inference/deployments", {"Authorization": f"Bearer {token}"})[0] == 403


def test_services_call_each_other_with_the_meshs_identity_and_need_no_token(
    secured: Secured, capfd: pytest.CaptureFixture[str]
) -> None:
    """The registry asks the models for the model, whatever the caller's token says of models."""
    registrar = create_token(secured, capfd, "registry:write")
    with secured.client(create_token(secured, capfd, "models:write")) as client:
        model = client.models.create("mesh-digits")
    with secured.client(registrar) as client:
        assert client.registry.create_version(model.id).version == 1


def test_past_the_edge_only_the_mesh_reaches_control_services(secured: Secured, capfd: pytest.CaptureFixture[str]) -> None:
    everything = create_token(secured, capfd, "*:admin")
    for shown, status in (("edge", "PERMISSION_DENIED"), ("client", "PERMISSION_DENIED"), ("mesh", "OK")):
        pem = [(secured.certificates / name).read_bytes() for name in ("ca.pem", f"{shown}.key", f"{shown}.pem")]
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.secure_channel(secured.service, grpc.ssl_channel_credentials(*pem), options=options) as channel:
            stub = control_grpc.InferenceControlServiceStub(channel)
            call = stub.UnloadModel.future(UNLOAD, metadata=(("authorization", f"Bearer {everything}"),), timeout=15)
            assert call.code().name == status


def test_a_revoked_token_is_out_everywhere_within_seconds(secured: Secured, token: str) -> None:
    with secured.client(token) as client:
        client.models.list()
        parts = split(token)
        assert parts is not None
        assert main(["tokens", "revoke", parts[0], "--config", str(secured.cluster.config)]) == 0

        def refused() -> bool:
            try:
                list(client.models.list())
            except Unauthenticated as refusal:
                return refusal.reason == "TOKEN_REVOKED"
            return False

        until(refused, within=5.0)


@dataclass(slots=True)
class Callers:
    """Calls through the edge that go on until they are told to stop.

    Attributes:
        answered: calls that ended well.
        failed: what the others were told.
    """

    secured: Secured
    token: str
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def keep_one_connection(self) -> None:
        with self.secured.client(self.token) as client:
            while not self.over.is_set():
                try:
                    client.models.get("rotated")
                    self.answered += 1
                except SynapseNetError as failure:
                    self.failed.append(f"{failure.reason}: {failure}")

    def connect_anew(self) -> None:
        while not self.over.is_set():
            try:
                status, body = self.secured.get("/models", {"Authorization": f"Bearer {self.token}"})
                self.failed += [] if status == 200 else [f"{status}: {body}"]
                self.answered += status == 200
            except (OSError, http.client.HTTPException) as failure:
                self.failed.append(repr(failure))


@pytest.mark.parametrize("new_keys", [False, True], ids=["same-keys", "new-keys"])
def test_certificates_of_every_process_exchanged_under_load_lose_no_call(
    secured: Secured, token: str, new_keys: bool, tell: Tell
) -> None:
    with secured.client(token) as client:
        client.models.create("rotated", request_id="rotated")
    callers = Callers(secured, token)
    threads = [threading.Thread(target=each) for each in (callers.keep_one_connection, callers.connect_anew)]
    for thread in threads:
        thread.start()
    before = secured.shown()
    try:
        for _ in range(ROTATIONS):
            threading.Event().wait(PAUSE_S)
            renew(secured.certificates, life=YEAR, now=SystemClock().now(), new_keys=new_keys)
            until(partial(secured.shows_other_than, before))
            before = secured.shown()
    finally:
        threading.Event().wait(PAUSE_S)
        callers.over.set()
        for thread in threads:
            thread.join(30)
    kept = "with new keys" if new_keys else "with the same keys"
    tell(f"a cluster's certificates exchanged {kept} under {callers.answered} calls", lost_calls=len(callers.failed))
    assert callers.answered > 20


def test_a_process_whose_certificate_does_not_name_the_mesh_gets_no_calls(
    secured: Secured, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    """Of our own authority, registered as it should be, healthy: and yet nobody of ours."""
    everything = create_token(secured, capfd, "*:admin")
    for option, file in (("CERTIFICATE_FILE", "client.pem"), ("KEY_FILE", "client.key")):
        monkeypatch.setenv(f"SYNAPSENET_SECURITY__{option}", str(secured.certificates / file))
    impostor = secured.cluster.launch("impostor", ["experiments"])
    impostor.wait_until_serving()
    monkeypatch.undo()
    answers = []
    with secured.client(everything) as client:
        for _ in range(20):
            try:
                answers.append(list(client.experiments.list()))
            except Unavailable:
                threading.Event().wait(0.1)
        impostor.stop()
        tell("a process whose certificate does not name the mesh: registered, and never called", calls=len(answers))
        honest = secured.cluster.launch("honest", ["experiments"])
        honest.wait_until_serving()

        def answered() -> bool:
            try:
                return list(client.experiments.list()) == []
            except Unavailable:
                return False

        until(answered, within=20.0)


def test_nothing_that_was_logged_has_a_secret(secured: Secured, token: str) -> None:
    parts = split(token)
    assert parts is not None
    with secured.client(token) as client, pytest.raises(PermissionDenied):
        list(client.inference.list_deployments())
    told = secured.cluster.log() + "".join(path.read_text(errors="replace") for path in secured.cluster.folder.rglob("*.log"))
    assert f"snt_{parts[0]}" in told
    assert "SCOPE_MISSING" in told
    assert parts[1] not in told
    assert "PRIVATE KEY" not in told
