"""What the edge itself answers when it lets a request through to nobody, in the platform's one form of error.

Envoy's own replies are rewritten by the first row that fits. An HTTP client gets the status as the transcoder prints it (code,
message, details with ErrorInfo), a gRPC client gets it in its trailers.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from synapsenet.errors import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    SynapseError,
    Unavailable,
    Unimplemented,
)
from synapsenet_servers.interceptors.catalogue import status

Tree = dict[str, Any]

WEB_FORM = r"(?i)\s*(application/x-www-form-urlencoded|multipart/form-data|text/plain)\s*(;.*)?"
"""The content types that a web page may send anywhere without being asked whether it may."""

_OWN_WORDS = "%LOCAL_REPLY_BODY%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One kind of reply of the edge's own.

    Attributes:
        when: HTTP status that Envoy gives it.
        error: what the client gets; in its words Envoy puts in what stands between percent signs.
        answer: HTTP status to give instead of `when`; 0: the same.
        flag: Envoy's response flag that it must carry too, or "".
        header: name and regular expression of a request header that it must carry too.
    """

    when: int
    error: SynapseError
    answer: int = 0
    flag: str = ""
    header: tuple[str, str] | None = None


_BUSY = Refusal(when=503, flag="UO", error=Unavailable("EDGE_BUSY", "the edge has all the calls it takes", remedy="retry"))
_AWAY = Refusal(
    when=503,
    error=Unavailable("PLATFORM_AWAY", "the platform behind the edge does not answer", remedy="retry", retry_after=1.0),
)
# The code that Envoy gives a gRPC client for an HTTP status is fixed; these agree with it.
_TO_GRPC = (
    Refusal(
        when=400,
        error=Internal(
            "FRAMES_MALFORMED", "the edge cannot read the request", remedy="send gRPC or gRPC-Web, as its type says"
        ),
    ),
    Refusal(
        when=403,
        error=PermissionDenied(
            "CALLER_REFUSED",
            "this edge does not serve that host name or origin",
            remedy="call it under its own name, or add the name to edge.hosts",
        ),
    ),
    Refusal(
        when=404,
        error=Unimplemented(
            "METHOD_NOT_ROUTED", "this edge routes no such method", remedy="list what there is by server reflection"
        ),
    ),
    _BUSY,
    _AWAY,
)
_TO_HTTP = (
    Refusal(
        when=403,
        header=("content-type", WEB_FORM),
        answer=415,
        error=InvalidArgument(
            "CONTENT_TYPE_REFUSED", "a web form's content type is not accepted", remedy="send application/json"
        ),
    ),
    Refusal(
        when=403,
        header=("origin", ".*"),
        error=PermissionDenied(
            "ORIGIN_REFUSED", "a page of another origin may not call this platform", remedy="call it from a program"
        ),
    ),
    Refusal(
        when=403,
        answer=421,
        error=PermissionDenied(
            "HOST_REFUSED",
            "this edge does not serve that host name",
            remedy="call it under its own name, or add the name to edge.hosts",
        ),
    ),
    Refusal(
        when=400,
        error=InvalidArgument(
            "REQUEST_MALFORMED",
            f"the request does not fit the contract ({_OWN_WORDS})",
            remedy="correct it, by the routes and fields in the contracts",
        ),
    ),
    Refusal(
        when=404,
        error=NotFound(
            "ROUTE_UNKNOWN", "there is no route %REQ(:METHOD)% %PATH(NQ)%", remedy="see the HTTP routes in the contracts"
        ),
    ),
    Refusal(when=408, error=DeadlineExceeded("REQUEST_TOO_SLOW", "the request took too long to arrive", remedy="retry")),
    Refusal(
        when=413,
        error=ResourceExhausted(
            "BODY_TOO_LARGE", "the body is larger than this edge takes", remedy="send less at a time, or stream it over gRPC"
        ),
    ),
    Refusal(when=431, error=ResourceExhausted("HEADERS_TOO_LARGE", "the request's headers are too large", remedy="send less")),
    _BUSY,
    _AWAY,
)
_REST = Internal("EDGE_FAILED", _OWN_WORDS)


def local_reply_config() -> Tree:
    """The rewriting of Envoy's own replies, as its connection manager takes it."""
    grpc = [_mapper(refusal, grpc=True) for refusal in _TO_GRPC]
    plain = {"filter": _is_grpc(), "body_format_override": _text(_OWN_WORDS)}
    http = [_mapper(refusal, grpc=False) for refusal in _TO_HTTP]
    return {"mappers": [*grpc, plain, *http], "body_format": _json(_REST)}


def _mapper(refusal: Refusal, *, grpc: bool) -> Tree:
    key = f"edge.{refusal.error.reason.lower()}"
    comparison = {"op": "EQ", "value": {"default_value": refusal.when, "runtime_key": key}}
    conditions: list[Tree] = [{"status_code_filter": {"comparison": comparison}}]
    if grpc:
        conditions.append(_is_grpc())
    if refusal.flag:
        conditions.append({"response_flag_filter": {"flags": [refusal.flag]}})
    if refusal.header:
        conditions.append(_header(*refusal.header))
    mapper: Tree = {"filter": _all(conditions)}
    if grpc:
        return mapper | {"body_format_override": _text(refusal.error.public), "headers_to_add": [_details(refusal.error)]}
    return mapper | {"status_code": refusal.answer or refusal.when, "body_format_override": _json(refusal.error)}


def _is_grpc() -> Tree:
    """The client itself spoke gRPC: the transcoder, which makes gRPC of JSON, leaves the original method behind."""
    transcoded = {"header_filter": {"header": {"name": "x-envoy-original-method", "present_match": True, "invert_match": True}}}
    return _all([_header("content-type", "application/grpc.*"), transcoded])


def _all(conditions: list[Tree]) -> Tree:
    return conditions[0] if len(conditions) == 1 else {"and_filter": {"filters": conditions}}


def _header(name: str, pattern: str) -> Tree:
    return {"header_filter": {"header": {"name": name, "string_match": {"safe_regex": {"regex": pattern}}}}}


def _text(sentence: str) -> Tree:
    return {"text_format_source": {"inline_string": sentence}}


def _json(error: SynapseError) -> Tree:
    body = MessageToDict(status(error), preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return {"json_format": body}


def _details(error: SynapseError) -> Tree:
    value = base64.b64encode(status(error).SerializeToString()).decode().rstrip("=")
    return {"header": {"key": "grpc-status-details-bin", "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
