"""Any RPC of the contracts, called by what the descriptor set says of it: nothing here knows a single method by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

import synapsenet_api

_LARGEST_ANSWER = ("grpc.max_receive_message_length", -1)
_LARGEST_REQUEST = ("grpc.max_send_message_length", -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One RPC.

    Attributes:
        path: full gRPC name, `/synapsenet.models.v1.ModelService/CreateModel`.
        request, answer: message types.
        streams_in, streams_out: whether several requests, or answers, make one call.
        control: whether it belongs to a control service, which only the mesh reaches.
        route: HTTP verb and path, empty where there is none.
    """

    path: str
    request: Descriptor
    answer: Descriptor
    streams_in: bool
    streams_out: bool
    control: bool
    route: tuple[str, str]

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one call ended.

    Attributes:
        code: its status.
        sentence: what the status says.
        reason: ErrorInfo's, empty if there is none.
        facts: ErrorInfo's metadata.
        messages: what was answered before the end.
    """

    code: grpc.StatusCode
    sentence: str = ""
    reason: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()


def _described() -> Iterator[Method]:
    for module in pkgutil.walk_packages(synapsenet_api.__path__, "synapsenet_api."):
        if not module.name.endswith("_pb2"):
            continue
        file = importlib.import_module(module.name).DESCRIPTOR
        for service in file.services_by_name.values():
            for method in service.methods:
                rule = method.GetOptions().Extensions[annotations_pb2.http]
                verb = rule.WhichOneof("pattern")
                yield Method(
                    path=f"/{service.full_name}/{method.name}",
                    request=method.input_type,
                    answer=method.output_type,
                    streams_in=method.client_streaming,
                    streams_out=method.server_streaming,
                    control=service.name.endswith("ControlService"),
                    route=(verb.upper(), getattr(rule, verb)) if verb else ("", ""),
                )


METHODS: tuple[Method, ...] = tuple(_described())
BY_PATH = {method.path: method for method in METHODS}


def open_channel(address: str) -> grpc.Channel:
    """A channel without retries and without bounds of its own, so that what is refused is refused by the platform."""
    return grpc.insecure_channel(address, options=[_LARGEST_ANSWER, _LARGEST_REQUEST, ("grpc.enable_retries", 0)])


def call(channel: grpc.Channel, method: Method, requests: Iterable[Message | bytes], *, seconds: float = 20) -> Answer:
    """Call `method` with `requests`, one unless it streams; a stream of answers is read to its end."""
    shape = f"{'stream' if method.streams_in else 'unary'}_{'stream' if method.streams_out else 'unary'}"
    answer_type = message_factory.GetMessageClass(method.answer)
    stub = getattr(channel, shape)(method.path, request_serializer=_serialized, response_deserializer=answer_type.FromString)
    given = iter(requests) if method.streams_in else next(iter(requests))
    answers: list[Message] = []
    try:
        answered = stub(given, timeout=seconds)
        if method.streams_out:
            answers.extend(answered)
        else:
            answers.append(answered)
    except grpc.RpcError as error:
        return _ended(cast("grpc.Call", error), tuple(answers))
    return Answer(code=grpc.StatusCode.OK, messages=tuple(answers))


def _serialized(request: Message | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()


def _ended(error: grpc.Call, answers: tuple[Message, ...]) -> Answer:
    info = ErrorInfo()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in Status.FromString(value).details:
                detail.Unpack(info)
    return Answer(
        code=error.code(), sentence=error.details() or "", reason=info.reason, facts=dict(info.metadata), messages=answers
    )


def new(descriptor: Descriptor) -> Any:
    """An empty message of that type."""
    return message_factory.GetMessageClass(descriptor)()


def filled(descriptor: Descriptor, word: str = "nothing", *, everything: bool = False) -> Any:
    """A message whose required fields, or all, are set, at any depth: texts to `word`, numbers to 1, enums to their last."""
    message = new(descriptor)
    for one in descriptor.fields:
        if everything or is_required(one):
            put(message, one, word, everything=everything)
    return message


def put(message: Any, one: FieldDescriptor, word: str = "nothing", *, everything: bool = False) -> None:
    """Set the field `one` of `message` to something that is not its default."""
    if one.message_type is not None and one.message_type.GetOptions().map_entry:
        _put_entry(getattr(message, one.name), one.message_type, word)
    elif one.is_repeated:
        getattr(message, one.name).append(_something(one, word, everything=everything))
    elif one.message_type is not None:
        inner = getattr(message, one.name)
        inner.CopyFrom(_something(one, word, everything=everything))
        inner.SetInParent()
    else:
        setattr(message, one.name, _something(one, word, everything=everything))


def _put_entry(target: Any, entry: Descriptor, word: str) -> None:
    key = _something(entry.fields_by_name["key"], word, everything=False)
    value = _something(entry.fields_by_name["value"], word, everything=False)
    if isinstance(value, Message):
        target[key].CopyFrom(value)
    else:
        target[key] = value


def _something(one: FieldDescriptor, word: str, *, everything: bool) -> Any:
    if one.message_type is not None:
        return filled(one.message_type, word, everything=everything)
    if one.enum_type is not None:
        return one.enum_type.values[-1].number
    kinds: dict[int, Any] = {FieldDescriptor.CPPTYPE_STRING: word, FieldDescriptor.CPPTYPE_BOOL: True}
    if one.type == FieldDescriptor.TYPE_BYTES:
        return word.encode()
    return kinds.get(one.cpp_type, 1)


def is_required(one: FieldDescriptor) -> bool:
    """Whether the contract marks the field REQUIRED."""
    return field_behavior_pb2.REQUIRED in one.GetOptions().Extensions[field_behavior_pb2.field_behavior]
