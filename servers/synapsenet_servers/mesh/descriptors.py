"""What the descriptor set says about the edge: which services it lets through, and which of them have HTTP routes.

Both follow from the contracts alone, so a new service needs no change here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto
from google.rpc import error_details_pb2

CARRIED = ("grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""Services that every server carries and that clients of the edge may call."""

_CONTROL = "ControlService"


def read_descriptors(path: Path) -> FileDescriptorSet:
    """The descriptor set in the file `path`."""
    return FileDescriptorSet.FromString(path.read_bytes())


def services(descriptors: FileDescriptorSet) -> list[str]:
    """Full names of all services."""
    return [name for name, _ in _services(descriptors)]


def role_of(service: str) -> str:
    """The role that serves `service`: the area in its package, `synapsenet.<area>.v1`, or the package itself."""
    package = service.split(".")
    return package[1] if package[0] == "synapsenet" else package[0]


def external_services(descriptors: FileDescriptorSet) -> list[str]:
    """Full names of the services that may be called from outside: all but the control services."""
    return [name for name, service in _services(descriptors) if not service.name.endswith(_CONTROL)]


def transcoded_services(descriptors: FileDescriptorSet) -> list[str]:
    """Full names of the external services that have an HTTP route."""
    external = set(external_services(descriptors))
    return [name for name, service in _services(descriptors) if name in external and _has_route(service)]


def transcoder_descriptors(descriptors: FileDescriptorSet) -> FileDescriptorSet:
    """`descriptors` as the transcoder needs them: without comments, with the messages that error details travel in.

    Without the descriptor of a detail's message the transcoder answers an error with an empty body.
    """
    wanted = FileDescriptorSet()
    known = {file.name for file in descriptors.file}
    details = FileDescriptorProto()
    error_details_pb2.DESCRIPTOR.CopyToProto(details)
    for file in [*descriptors.file, *([] if details.name in known else [details])]:
        copy = wanted.file.add()
        copy.CopyFrom(file)
        copy.ClearField("source_code_info")
    return wanted


def _services(descriptors: FileDescriptorSet) -> Iterator[tuple[str, ServiceDescriptorProto]]:
    for file in descriptors.file:
        for service in file.service:
            yield f"{file.package}.{service.name}", service


def _has_route(service: ServiceDescriptorProto) -> bool:
    return any(method.options.HasExtension(annotations_pb2.http) for method in service.method)
