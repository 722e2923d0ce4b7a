"""Messages as a recorded descriptor set knows them: made, read, compared, and written as JSON.

What a later release adds is unknown to the recorded set and dropped, at every depth and inside google.protobuf.Any as well;
what remains must be equal bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status

_ANY = "google.protobuf.Any"


class Contracts:
    """The services and messages of one descriptor set, apart from those of the running release."""

    def __init__(self, descriptors: FileDescriptorSet) -> None:
        self._descriptors = descriptors
        self._pool = DescriptorPool()
        for file in descriptors.file:
            self._pool.Add(file)

    @staticmethod
    def read(path: Path) -> Contracts:
        return Contracts(FileDescriptorSet.FromString(path.read_bytes()))

    def methods(self, package: str) -> list[str]:
        """Every external RPC of `package`, as `package.Service/Method`; control services are not external."""
        return [
            f"{package}.{service.name}/{method.name}"
            for file in self._descriptors.file
            if file.package == package
            for service in file.service
            if not service.name.endswith("ControlService")
            for method in service.method
        ]

    def parse_request(self, method: str, content: Any) -> Message:
        """A request of `method` from its JSON."""
        return self._from_json(self._method(method).input_type.full_name, content)

    def parse_response(self, method: str, content: Any) -> Message:
        """A response of `method` from its JSON."""
        return self._from_json(self._method(method).output_type.full_name, content)

    def request(self, method: str, raw: bytes) -> Message:
        return self._from_bytes(self._method(method).input_type.full_name, raw)

    def response(self, method: str, raw: bytes) -> Message:
        return self._from_bytes(self._method(method).output_type.full_name, raw)

    def details(self, status: bytes) -> list[Any]:
        """The details of a google.rpc.Status as JSON; those of a kind that the recorded set does not know are left out."""
        packed = Status.FromString(status).details
        found = [self._from_bytes(_ANY, detail.SerializeToString()) for detail in packed if self._knows(detail.TypeName())]
        return [self.to_json(detail) for detail in found]

    def message(self, name: str) -> Any:
        """An empty message of that full name."""
        return GetMessageClass(self._pool.FindMessageTypeByName(name))()

    def to_json(self, message: Message) -> Any:
        """Proto JSON with the contract's own names; floats keep every bit, bytes are base64."""
        return json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=self._pool)

    def _knows(self, name: str) -> bool:
        try:
            self._pool.FindMessageTypeByName(name)
        except KeyError:
            return False
        return True

    def _method(self, method: str) -> MethodDescriptor:
        service, _, name = method.rpartition("/")
        found: MethodDescriptor = self._pool.FindServiceByName(service).methods_by_name[name]
        return found

    def _from_json(self, name: str, content: Any) -> Message:
        message: Message = json_format.ParseDict(content, self.message(name), descriptor_pool=self._pool)
        self._settle(message)
        return message

    def _from_bytes(self, name: str, raw: bytes) -> Message:
        message: Message = self.message(name)
        message.ParseFromString(raw)
        self._settle(message)
        return message

    def _settle(self, message: Message) -> None:
        """Drop what the recorded set does not know, also in packed messages, whose bytes become those of one encoding."""
        message.DiscardUnknownFields()
        for packed in _packed(message):
            name = packed.type_url.rpartition("/")[2]
            try:
                inner = self.message(name)
                inner.ParseFromString(packed.value)
            except (KeyError, DecodeError):
                continue  # a detail that the recorded set does not know is compared as it is
            self._settle(inner)
            packed.value = inner.SerializeToString(deterministic=True)


def _packed(message: Message) -> Iterator[Any]:
    """The google.protobuf.Any messages in `message`, at any depth, or itself."""
    if message.DESCRIPTOR.full_name == _ANY:
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if _is_map(field):
            if field.message_type.fields_by_name["value"].message_type is not None:
                for each in value.values():
                    yield from _packed(each)
        elif field.is_repeated:
            for each in value:
                yield from _packed(each)
        else:
            yield from _packed(value)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)
