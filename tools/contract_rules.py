"""The conventions of docs/contracts.md that a machine can hold, as rules over the descriptor set of the contracts.

`buf lint` holds what every protobuf API needs; these are the house's own. Run it alone (`python -m tools.contract_rules`) for
one line a breach; it exits 1 if there is any. The Open Inference Protocol is somebody else's contract and is not judged.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from google.api import annotations_pb2, field_behavior_pb2, http_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

DESCRIPTORS = Path(__file__).resolve().parents[1] / "clients" / "synapsenet_api" / "api.binpb"
PACKAGE = ".synapsenet."
TIMESTAMP = ".google.protobuf.Timestamp"
FIELD_MASK = ".google.protobuf.FieldMask"
BULK_NUMBER = 15
UNITS = {"_ms": {"double"}, "_us": {"int64", "sfixed64"}, "_bytes": {"int32", "int64"}}
FOREIGN_UNITS = re.compile(r"_(at|since|sec|secs|seconds|millis|micros|nanos|kb|mb|gb|percent|pct)$|^(since|size)$")
CREATING = re.compile(r"(Create|Build|Deploy|Undeploy|Set|Run|Transition|Validate|RollBack|Promote|Archive)[A-Z]")
SEGMENT = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*|\{[a-z_.]+\}|v2")
VERB = re.compile(r"[a-z][a-zA-Z]*")
STREAM_VERBS = {"watch", "stream", "read", "download"}

# Names that break a rule, each with the reason.
MOMENTS = {
    "as_of": "the instant to which an answer speaks, which is no event of a resource",
    "known_by": "a limit on what counts as known, which is no event of a resource",
}
WITHOUT_MASK = {
    "UpdateExperimentRequest": "tags and definitions of one experiment are merged by their names, as several writers set them",
    "UpdateRunRequest": "tags and hyperparameters of one run are merged by their names, as several writers set them",
}
OTHER_RESUMES = {"after_sequence": "events of one model have a gapless count of their own, which consumers of its events keep"}
GREW = {
    "DeployVersionRequest": "how it is run and what stays beside it came after its numbers were given away for good",
}
BY_NAME = {
    "GetFreshnessRequest": "the promised query parameter is `state`",
    "WatchFreshnessRequest": "it asks as GetFreshnessRequest does",
}

# The paths that the platform promises by name, with what may be asked there.
PROMISED = {
    "/features/freshness": {"group", "entity", "state", "page_size", "page_token"},
    "/experiments/compare": {"experiment_ids", "metric"},
    "/experiments/search": {"filter", "order_by", "page_size", "page_token"},
    "/experiments/{experiment_id}/hyperparameter-importance": {"metric"},
}


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC with its service and its HTTP bindings."""

    service: ServiceDescriptorProto
    rpc: MethodDescriptorProto
    rules: tuple[http_pb2.HttpRule, ...]

    @property
    def name(self) -> str:
        return f"{self.service.name}.{self.rpc.name}"


@dataclass(frozen=True, slots=True)
class Contracts:
    """The house's own messages, enums and RPCs, by their full names."""

    messages: Mapping[str, DescriptorProto] = field(default_factory=dict)
    enums: Mapping[str, EnumDescriptorProto] = field(default_factory=dict)
    methods: tuple[Method, ...] = ()

    @staticmethod
    def of(descriptors: FileDescriptorSet) -> Contracts:
        own = [file for file in descriptors.file if f".{file.package}.".startswith(PACKAGE)]
        messages: dict[str, DescriptorProto] = {}
        enums: dict[str, EnumDescriptorProto] = {}
        for file in own:
            enums |= {f".{file.package}.{one.name}": one for one in file.enum_type}
            for message in file.message_type:
                _gather(f".{file.package}.{message.name}", message, messages, enums)
        services = [service for file in own for service in file.service]
        methods = tuple(Method(service, rpc, _bindings(rpc)) for service in services for rpc in service.method)
        return Contracts(messages, enums, methods)

    def fields(self) -> Iterator[tuple[str, DescriptorProto, FieldDescriptorProto]]:
        for name, message in self.messages.items():
            yield from ((name, message, one) for one in message.field)


def main() -> int:
    contracts = Contracts.of(FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()))
    breaches = [breach for rule in RULES for breach in rule(contracts)]
    print(*breaches, sep="\n")
    return 1 if breaches else 0


def times(contracts: Contracts) -> Iterator[str]:
    """A Timestamp is `create_time`, `update_time`, `start_time`, `end_time` … (AIP-142)."""
    for name, message, one in contracts.fields():
        moment = one.type_name == TIMESTAMP and not message.options.map_entry
        if moment and not one.name.endswith("_time") and one.name not in MOMENTS:
            yield f"{name}.{one.name}: a Timestamp ends in _time"


def units(contracts: Contracts) -> Iterator[str]:
    """A number says its unit in its name, always in the same word; shares are fractions of 1."""
    for name, _, one in contracts.fields():
        if FOREIGN_UNITS.search(one.name):
            yield f"{name}.{one.name}: say it with _time, _ms, _us, _bytes or _fraction"
        for suffix, types in UNITS.items():
            if one.name.endswith(suffix) and not one.type_name and _type(one) not in types:
                yield f"{name}.{one.name}: what ends in {suffix} is {' or '.join(sorted(types))}"


def ids(contracts: Contracts) -> Iterator[str]:
    """A resource's own id is `id`, elsewhere it is `<resource>_id`; ids are strings."""
    for name, message, one in contracts.fields():
        if one.name == f"{_snake(message.name)}_id":
            yield f"{name}.{one.name}: in its own message an id is called id"
        if (one.name == "id" or one.name.endswith(("_id", "_ids"))) and _type(one) != "string":
            yield f"{name}.{one.name}: an id is a string"


def given_by_the_platform(contracts: Contracts) -> Iterator[str]:
    """Id, etag and times of a resource are OUTPUT_ONLY."""
    for name, message, one in contracts.fields():
        resource = any(other.name == "create_time" for other in message.field) and not message.name.endswith("Request")
        given = resource and one.name in {"id", "etag", "create_time", "update_time"}
        if given and field_behavior_pb2.OUTPUT_ONLY not in _behaviours(one):
            yield f"{name}.{one.name}: what the platform gives is OUTPUT_ONLY"


def presence(contracts: Contracts) -> Iterator[str]:
    """`optional` stands where absence means something; a message has presence without it."""
    for name, _, one in contracts.fields():
        if one.proto3_optional and _type(one) == "message":
            yield f"{name}.{one.name}: a message needs no optional"


def paging(contracts: Contracts) -> Iterator[str]:
    """Every list is paged, by the same three names, which end the request (AIP-158)."""
    for method in contracts.methods:
        request, response = _messages(contracts, method)
        if request is None or response is None:
            continue
        last = [one.name for one in sorted(request.field, key=lambda one: one.number)][-2:]
        names = {one.name: _type(one) for one in request.field}
        if method.rpc.name.startswith("List") and "page_size" not in names:
            yield f"{method.name}: a list has page_size and page_token"
        if "page_size" in names or "page_token" in names:
            if last != ["page_size", "page_token"] or names.get("page_size") != "int32":
                yield f"{method.name}: int32 page_size and string page_token are the last fields of the request"
            if not any(one.name == "next_page_token" for one in response.field):
                yield f"{method.name}: a paged answer has next_page_token"


def request_ids(contracts: Contracts) -> Iterator[str]:
    """What creates or moves something takes a `request_id` (AIP-155), the last field of the request."""
    for method in contracts.methods:
        request, _ = _messages(contracts, method)
        if request is None or method.service.name.endswith("ControlService"):
            continue
        numbers = {one.name: one.number for one in request.field}
        if CREATING.match(method.rpc.name) and "request_id" not in numbers:
            yield f"{method.name}: a creating call takes a request_id"
        if numbers.get("request_id", 0) not in (0, max(numbers.values(), default=0)) and request.name not in GREW:
            yield f"{method.name}: request_id is the last field"


def masks(contracts: Contracts) -> Iterator[str]:
    """An update says by a REQUIRED `update_mask` what it changes (AIP-134)."""
    for name, message in contracts.messages.items():
        if re.fullmatch(r"Update\w+Request", message.name) and message.name not in WITHOUT_MASK:
            mask = next((one for one in message.field if one.name == "update_mask" and one.type_name == FIELD_MASK), None)
            if mask is None or field_behavior_pb2.REQUIRED not in _behaviours(mask):
                yield f"{name}: an update has a REQUIRED update_mask"


def states(contracts: Contracts) -> Iterator[str]:
    """Where something is in its life is its `state`; lists take several, `states` (AIP-216)."""
    for name, message, one in contracts.fields():
        if one.type_name in contracts.enums and one.type_name.endswith("State"):
            listing = re.fullmatch(r"(List|Compare|Get\w+Importance)\w*Request", message.name)
            if listing and (one.name != "states" or _label(one) != "repeated"):
                yield f"{name}.{one.name}: a list takes repeated states"
            if not listing and one.name not in {"state", "states"}:
                yield f"{name}.{one.name}: a {one.type_name.rpartition('.')[2]} is called state"
        if one.name == "state" and _label(one) == "repeated" and message.name not in BY_NAME:
            yield f"{name}.{one.name}: a list takes repeated states"


def watches(contracts: Contracts) -> Iterator[str]:
    """A watch of a log resumes with `int64 after_position` and answers an `event` that has its `position`."""
    for name, _, one in contracts.fields():
        resumes = one.name.startswith("after_") and one.name not in OTHER_RESUMES
        if resumes and (one.name != "after_position" or _type(one) != "int64" or one.proto3_optional):
            yield f"{name}.{one.name}: one resumes with int64 after_position, 0 being the oldest kept"
    for method in contracts.methods:
        request, response = _messages(contracts, method)
        if request is None or response is None or not method.rpc.name.startswith("Watch"):
            continue
        if any(one.name == "after_position" for one in request.field):
            event = next((contracts.messages.get(one.type_name) for one in response.field if one.name == "event"), None)
            if event is None or not any(one.name == "position" for one in event.field):
                yield f"{method.name}: answers an event that has its position"


def bulk(contracts: Contracts) -> Iterator[str]:
    """Bulk bytes are `data`, number 15: last on the wire, whatever fields come later."""
    for name, message, one in contracts.fields():
        buffer = one.name == "data" and _type(one) == "bytes"
        if buffer and (one.number != BULK_NUMBER or one.number != max(other.number for other in message.field)):
            yield f"{name}.data: has number 15 and is the last"


def enums(contracts: Contracts) -> Iterator[str]:
    """Zero is UNSPECIFIED; enums of one name have the same numbers in every area."""
    numbers: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for name, enum in contracts.enums.items():
        zero = next((value.name for value in enum.value if value.number == 0), "")
        if zero != f"{_snake(enum.name).upper()}_UNSPECIFIED":
            yield f"{name}: its zero is {_snake(enum.name).upper()}_UNSPECIFIED"
        for value in enum.value:
            numbers[enum.name, value.name].setdefault(value.number, name)
    for (enum_name, value_name), found in numbers.items():
        if len(found) > 1:
            yield f"{enum_name}.{value_name}: has one number in {' and another in '.join(found.values())}"


def routes(contracts: Contracts) -> Iterator[str]:
    """Every RPC that HTTP can carry has a route, control services have none, and each route is like the others."""
    taken: dict[str, str] = {}
    for method in contracts.methods:
        if method.service.name.endswith("ControlService") or method.rpc.client_streaming:
            if method.rules:
                why = "HTTP has no client streams" if method.rpc.client_streaming else "it is mesh-only"
                yield f"{method.name}: takes no route, {why}"
            continue
        if not method.rules:
            yield f"{method.name}: has no route"
        for rule in method.rules:
            verb, path = _verb_and_path(rule)
            yield from (f"{method.name}: {path}: {wrong}" for wrong in _wrong_route(method, rule, verb, path))
            shape = f"{verb} {re.sub(r'{[^}]*}', '{}', path)}"
            if taken.setdefault(shape, method.name) != method.name:
                yield f"{method.name}: {shape} is taken by {taken[shape]}"


def path_parameters(contracts: Contracts) -> Iterator[str]:
    """What stands in a path is a REQUIRED field, down to the last message."""
    for method in contracts.methods:
        for rule in method.rules:
            for parameter in re.findall(r"{([a-z_.]+)}", _verb_and_path(rule)[1]):
                message = contracts.messages.get(method.rpc.input_type)
                for step in parameter.split("."):
                    one = next((each for each in message.field if each.name == step), None) if message else None
                    # The version of a REST path has a sibling path without it.
                    if one is None or (field_behavior_pb2.REQUIRED not in _behaviours(one) and step != "model_version"):
                        yield f"{method.name}: {parameter} in the path is a REQUIRED field"
                        break
                    message = contracts.messages.get(one.type_name)


def promised_paths(contracts: Contracts) -> Iterator[str]:
    """The paths that the platform promises are there, with their query parameters."""
    found = {_verb_and_path(rule): method for method in contracts.methods for rule in method.rules}
    for path, wanted in PROMISED.items():
        method = found.get(("get", path))
        request = contracts.messages.get(method.rpc.input_type) if method else None
        missing = wanted - {one.name for one in request.field} if request else wanted
        if missing:
            yield f"GET {path}: takes {', '.join(sorted(missing))}"


RULES: tuple[Callable[[Contracts], Iterator[str]], ...] = (
    times, units, ids, given_by_the_platform, presence, paging, request_ids, masks, states, watches, bulk, enums, routes,
    path_parameters, promised_paths,
)  # fmt: skip


def _wrong_route(method: Method, rule: http_pb2.HttpRule, verb: str, path: str) -> Iterator[str]:
    plain, _, custom = path.partition(":")
    if not path.startswith("/") or not all(SEGMENT.fullmatch(part) for part in plain[1:].split("/")):
        yield "its parts are lower-case words with hyphens"
    if custom and not VERB.fullmatch(custom):
        yield "a custom verb is one camelCase word"
    if (verb in {"get", "delete"}) == bool(rule.body):
        yield "GET and DELETE have no body, all others have one"
    if rule.response_body:
        yield "a response_body keeps Envoy from starting"
    if method.rpc.server_streaming and custom not in STREAM_VERBS:
        yield "a stream ends in :watch, :stream, :read or :download"
    if method.rpc.name.startswith("Watch") != (custom == "watch"):
        yield "Watch… ends in :watch, and nothing else does"
    if method.rpc.name.startswith("Update") and verb != "patch":
        yield "an update is a PATCH"
    if method.rpc.name.startswith("Delete") and verb != "delete" and custom != "delete":
        yield "a deletion is a DELETE"


def _gather(
    name: str, message: DescriptorProto, messages: dict[str, DescriptorProto], enums: dict[str, EnumDescriptorProto]
) -> None:
    messages[name] = message
    enums |= {f"{name}.{one.name}": one for one in message.enum_type}
    for nested in message.nested_type:
        _gather(f"{name}.{nested.name}", nested, messages, enums)


def _bindings(rpc: MethodDescriptorProto) -> tuple[http_pb2.HttpRule, ...]:
    if not rpc.options.HasExtension(annotations_pb2.http):
        return ()
    rule = rpc.options.Extensions[annotations_pb2.http]
    return (rule, *rule.additional_bindings)


def _messages(contracts: Contracts, method: Method) -> tuple[DescriptorProto | None, DescriptorProto | None]:
    return contracts.messages.get(method.rpc.input_type), contracts.messages.get(method.rpc.output_type)


def _verb_and_path(rule: http_pb2.HttpRule) -> tuple[str, str]:
    verb = rule.WhichOneof("pattern") or ""
    return verb, getattr(rule, verb, "")


def _behaviours(one: FieldDescriptorProto) -> list[int]:
    return list(one.options.Extensions[field_behavior_pb2.field_behavior])


def _type(one: FieldDescriptorProto) -> str:
    return FieldDescriptorProto.Type.Name(one.type).removeprefix("TYPE_").lower()


def _label(one: FieldDescriptorProto) -> str:
    return FieldDescriptorProto.Label.Name(one.label).removeprefix("LABEL_").lower()


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


if __name__ == "__main__":
    sys.exit(main())
