"""The edge's own replies agree with the catalogue, with what Envoy does to a gRPC client, and with the page about them."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from synapsenet_servers.mesh.refusals import WEB_FORM, local_reply_config

PAGE = Path(__file__).parents[3] / "docs" / "edge.md"
ENVOYS_CODE = {400: Code.INTERNAL, 403: Code.PERMISSION_DENIED, 404: Code.UNIMPLEMENTED, 503: Code.UNAVAILABLE}
"""What Envoy makes of an HTTP status for a gRPC client, whatever the rewriting says."""


def to_http() -> list[dict[str, Any]]:
    mappers = (mapper for mapper in local_reply_config()["mappers"] if "json_format" in mapper["body_format_override"])
    return [mapper["body_format_override"]["json_format"] for mapper in mappers]


def to_grpc() -> list[tuple[int, Status]]:
    """HTTP status that each row answers, and the status in its trailers."""
    found = []
    for mapper in local_reply_config()["mappers"]:
        for header in mapper.get("headers_to_add", ()):
            packed = header["header"]["value"]
            comparison = mapper["filter"]["and_filter"]["filters"][0]["status_code_filter"]["comparison"]
            status = Status.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
            found.append((comparison["value"]["default_value"], status))
    return found


def test_a_grpc_client_finds_the_same_code_in_the_details_as_in_the_status() -> None:
    assert to_grpc()
    for http, status in to_grpc():
        assert status.code == ENVOYS_CODE[http]


def test_every_reply_carries_its_reason_and_the_page_names_each() -> None:
    reasons = {body["details"][0]["reason"] for body in to_http()}
    for _, status in to_grpc():
        info = ErrorInfo()
        assert status.details[0].Unpack(info)
        reasons.add(info.reason)
    assert reasons == set(re.findall(r"`([A-Z]+_[A-Z_]+)` \|$", PAGE.read_text(), re.MULTILINE))


def test_what_stands_between_percent_signs_is_envoys_and_nothing_else_is() -> None:
    for body in to_http():
        assert "%" not in re.sub(r"%(LOCAL_REPLY_BODY|REQ\(:METHOD\)|PATH\(NQ\))%", "", body["message"])
    for _, status in to_grpc():
        assert "%" not in status.message


@pytest.mark.parametrize("kind", ["text/plain", " TEXT/plain ; charset=x", "multipart/form-data; boundary=a"])
def test_a_web_forms_content_type_is_known_however_it_is_written(kind: str) -> None:
    assert re.fullmatch(WEB_FORM, kind)


@pytest.mark.parametrize("kind", ["application/json", "application/grpc", "application/octet-stream", "text/plainer"])
def test_a_programs_content_type_is_no_web_forms(kind: str) -> None:
    assert not re.fullmatch(WEB_FORM, kind)
