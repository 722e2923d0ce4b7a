"""Which RPC a request message belongs to.

Every RPC of the contracts has a request message of its own (buf's RPC_REQUEST_RESPONSE_UNIQUE holds that), so a request says
by itself which method to call, what it answers with and whether it carries a request id.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpc:
    """An RPC as gRPC calls it.

    Attributes:
        path: `/package.Service/Method`.
        answer: class of the messages that it answers with.
        takes_request_id: whether its request has a field `request_id`, by which a repeated creation is recognised.
    """

    path: str
    answer: type[Message]
    takes_request_id: bool


_found: dict[str, Rpc] = {}


def rpc_of(request: type[Message]) -> Rpc:
    """The RPC whose request message `request` is.

    Raises:
        LookupError: it is no RPC's request.
    """
    name = request.DESCRIPTOR.full_name
    if (rpc := _found.get(name)) is None:
        rpc = _found[name] = _find(request)
    return rpc


def _find(request: Any) -> Rpc:
    descriptor = request.DESCRIPTOR
    for service in descriptor.file.services_by_name.values():
        for method in service.methods:
            if method.input_type is descriptor:
                return Rpc(
                    path=f"/{service.full_name}/{method.name}",
                    answer=GetMessageClass(method.output_type),
                    takes_request_id="request_id" in descriptor.fields_by_name,
                )
    raise LookupError(f"{descriptor.full_name} is not the request of any RPC")


def with_request_id(request: Any) -> Any:
    """`request`, with a new request id if its RPC takes one and the caller gave none.

    It is set before the first attempt: gRPC's retries then repeat the same bytes, and the platform creates once.
    """
    if rpc_of(type(request)).takes_request_id and not request.request_id:
        request.request_id = uuid.uuid4().hex
    return request
