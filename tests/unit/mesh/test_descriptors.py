"""Which services pass the edge, as the contracts alone decide it."""

from __future__ import annotations

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from synapsenet_servers.mesh.descriptors import external_services, transcoded_services, transcoder_descriptors


def descriptors() -> FileDescriptorSet:
    """Package `a.v1` with a service that has a route, one that streams only, and a control service with a route by mistake."""
    found = FileDescriptorSet()
    file = found.file.add(name="a/v1/a.proto", package="a.v1")
    file.source_code_info.location.add(leading_comments="a comment")
    for name, route in (("RoutedService", "/a"), ("StreamService", ""), ("PartControlService", "/secret")):
        method = file.service.add(name=name).method.add(name="Do")
        if route:
            method.options.Extensions[annotations_pb2.http].get = route
    return found


def test_every_service_but_the_control_ones_is_external() -> None:
    assert external_services(descriptors()) == ["a.v1.RoutedService", "a.v1.StreamService"]


def test_an_external_service_with_a_route_is_transcoded_and_a_control_service_never() -> None:
    assert transcoded_services(descriptors()) == ["a.v1.RoutedService"]


def test_the_transcoder_gets_the_messages_of_error_details_and_no_comments() -> None:
    wanted = transcoder_descriptors(descriptors())
    assert [file.name for file in wanted.file] == ["a/v1/a.proto", "google/rpc/error_details.proto"]
    assert not any(file.HasField("source_code_info") for file in wanted.file)
    assert {message.name for message in wanted.file[1].message_type} >= {"ErrorInfo", "BadRequest", "RetryInfo"}


def test_error_details_that_a_contract_imports_are_not_added_twice() -> None:
    once = transcoder_descriptors(descriptors())
    assert [file.name for file in transcoder_descriptors(once).file] == [file.name for file in once.file]
