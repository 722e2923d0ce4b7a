"""Who has something done is known by what the platform made sure of, and goes with the calls that are made for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from synapsenet_api.models.v1.model_service_pb2 import CreateModelRequest
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_servers.mesh.channels import OnBehalf
from synapsenet_servers.security.acting import HEADER, act_for, actor
from tests.secured_server import SecuredServer, secured_server

MESH = "spiffe://synapsenet/mesh"


async def maker(channel: grpc.aio.Channel, *metadata: tuple[str, str]) -> str:
    """Who the server says has a model made."""
    stub: Any = ModelServiceStub(channel)
    answer = await stub.CreateModel(CreateModelRequest(name="digits"), metadata=metadata, timeout=5)
    return str(answer.model.description)


async def made_over(server: SecuredServer, shown: str, *metadata: tuple[str, str]) -> str:
    async with server.channel(shown) as channel:
        return await maker(channel, *metadata)


async def test_who_bears_a_token_is_known_by_its_name_whatever_they_say(tmp_path: Path) -> None:
    async with secured_server(tmp_path) as server:
        token, text = await server.token("models:write")
        bearer = ("authorization", f"Bearer {text}")
        assert token.id in await made_over(server, "edge", bearer)
        assert token.id in await made_over(server, "edge", bearer, (HEADER, "somebody else"))


async def test_a_service_is_known_by_its_identity_or_says_for_whom_it_calls(tmp_path: Path) -> None:
    async with secured_server(tmp_path) as server:
        assert await made_over(server, "mesh") == MESH
        assert await made_over(server, "mesh", (HEADER, "ada")) == "ada"


async def test_the_edge_stands_for_nobody(tmp_path: Path) -> None:
    async with secured_server(tmp_path, anonymous=True) as server:
        assert await made_over(server, "edge") == ""
        assert await made_over(server, "edge", (HEADER, "ada")) == ""


async def test_the_platforms_channels_say_for_whom_a_call_is_made(tmp_path: Path) -> None:
    async with secured_server(tmp_path) as server:
        pem = [(server.certificates / name).read_bytes() for name in ("ca.pem", "mesh.key", "mesh.pem")]
        told: Sequence[Any] = [OnBehalf()]
        async with grpc.aio.secure_channel(server.address, grpc.ssl_channel_credentials(*pem), interceptors=told) as channel:
            assert await maker(channel) == MESH
            act_for("Zoë: the token of the lab")
            assert actor() == await maker(channel) == "Zoë: the token of the lab"
