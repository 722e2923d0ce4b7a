"""The table of what is to come is true, row by row, against a running platform, and nothing is missing from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from synapsenet_servers.not_yet_available.row import Row
from synapsenet_servers.not_yet_available.table import TABLE
from tests.integration.platform.contract_calls import BY_PATH, METHODS, Answer, Method, call, filled, new, open_channel, put
from tests.live import LivePlatform

WHOLE = [row for row in TABLE if not row.option]
OPTIONS = [row for row in TABLE if row.option]
RAW_BODY = "google.api.HttpBody"
PROMISED = {row.method for row in WHOLE}

# Not the platform's own process: each job has a parameter server of its own, which tests/integration/training drives.
ELSEWHERE = {"/synapsenet.training.v1.ParameterServerService/Train"}
ENDLESS_S = 0.3


def takes_raw_body(method: Method) -> bool:
    return any(field.message_type is not None and field.message_type.full_name == RAW_BODY for field in method.request.fields)


SOURCE = {"training_set": {"training_set_id": "set-1"}, "inputs": ["digits:pixels"], "target": "digits:label"}
GROUP = {"name": "options", "entity_keys": [{"name": "id", "type": "VALUE_TYPE_INT64"}]}
# What a request must have beside the option, where more is needed than its required fields.
REQUESTS: dict[str, dict[str, Any]] = {
    "CreateFeatureGroup": {"group": GROUP | {"features": [{"name": "x", "type": "VALUE_TYPE_FLOAT"}]}},
    "CreateJob": {
        "spec": {
            "model": {"entry_point": "mlp", "arguments": {"inputs": 64, "hidden": [8], "classes": 10}},
            "training_data": SOURCE,
            "optimizer": {"learning_rate": 0.1},
            "batch_size": 8,
            "steps": 10,
            "workers": {"count": 2},
        }
    },
}
IN_BODIES = [row for row in OPTIONS if takes_raw_body(BY_PATH[row.method])]
IN_MESSAGES = [row for row in OPTIONS if row not in IN_BODIES]
# What to set for an option whose text does not say it, where something arbitrary would be refused for another reason.
VALUES: dict[str, Any] = {
    "spec.workers.max": 4,
    "spec.parameter_server_shards": 2,
    "filter=at()": "at(metrics.accuracy, 10) > 0.9",
    "order_by=at()": "at(metrics.accuracy, 10) desc",
}
INFER = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}]}


def named(row: Row) -> str:
    return f"{row.method.rpartition('/')[2]} {row.option}".strip()


@pytest.fixture(scope="module")
def outside(platform: LivePlatform) -> Iterator[grpc.Channel]:
    with open_channel(platform.grpc) as channel:
        yield channel


@pytest.fixture(scope="module")
def mesh(platform: LivePlatform) -> Iterator[grpc.Channel]:
    with open_channel(f"unix:{(platform.data / 'run').readlink() / 'mesh.sock'}") as channel:
        yield channel


def ask_for(message: Any, option: str) -> None:
    """Set what an option names, `field.inner=VALUE` or `field.inner`, in `message`.

    Raises:
        KeyError: there is no such field or value in the contract.
    """
    path, _, value = option.partition("=")
    *parents, last = path.split(".")
    for name in parents:
        if not message.HasField(name):
            put(message, message.DESCRIPTOR.fields_by_name[name])
        message = getattr(message, name)
    field = message.DESCRIPTOR.fields_by_name[last]
    if option in VALUES:
        setattr(message, last, VALUES[option])
    elif not value:
        message.ClearField(last)
        put(message, field, everything=True)
    elif field.enum_type is not None:
        setattr(message, last, field.enum_type.values_by_name[value].number)
    elif field.message_type is not None:
        getattr(message, last).FromJsonString(value)
    else:
        setattr(message, last, value)


def base_request(method: Method) -> Any:
    known = REQUESTS.get(method.path.rpartition("/")[2])
    return filled(method.request) if known is None else ParseDict(known, new(method.request))


def assert_announced(answer: Answer) -> None:
    assert (answer.code, answer.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_YET_AVAILABLE"), answer


def test_every_row_is_about_an_rpc_of_the_contracts_and_stands_once() -> None:
    assert {row.method for row in TABLE} <= set(BY_PATH)
    assert len({(row.method, row.option) for row in TABLE}) == len(TABLE)


def test_every_row_says_what_will_come() -> None:
    assert [row for row in TABLE if len(row.brings.split()) < 2] == []


@pytest.mark.parametrize("row", WHOLE, ids=named)
def test_an_rpc_that_is_to_come_says_so(row: Row, outside: grpc.Channel, mesh: grpc.Channel) -> None:
    method = BY_PATH[row.method]
    answer = call(mesh if method.control else outside, method, [filled(method.request)])
    assert_announced(answer)
    assert row.brings in answer.sentence
    assert answer.facts["method"] == row.method


@pytest.mark.parametrize("method", [method for method in METHODS if method.path not in PROMISED | ELSEWHERE], ids=str)
def test_an_rpc_that_the_table_leaves_out_is_there(method: Method, outside: grpc.Channel, mesh: grpc.Channel) -> None:
    channel = mesh if method.control else outside
    for request in (new(method.request), filled(method.request)):
        answer = call(channel, method, [request], seconds=ENDLESS_S if method.streams_out else 20)
        assert answer.code is not grpc.StatusCode.UNIMPLEMENTED, answer


@pytest.mark.parametrize("method", [method for method in METHODS if method.control], ids=str)
def test_a_control_rpc_is_not_there_from_outside(method: Method, outside: grpc.Channel) -> None:
    answer = call(outside, method, [filled(method.request)])
    assert answer.code is grpc.StatusCode.UNIMPLEMENTED
    assert answer.reason in ("METHOD_UNKNOWN", "NOT_YET_AVAILABLE")


@pytest.mark.parametrize("row", IN_MESSAGES, ids=named)
def test_an_option_that_is_to_come_is_refused_by_name(row: Row, outside: grpc.Channel, mesh: grpc.Channel) -> None:
    method = BY_PATH[row.method]
    request = base_request(method)
    ask_for(request, row.option)
    answer = call(mesh if method.control else outside, method, [request])
    assert_announced(answer)
    assert row.option.partition("=")[0].rpartition(".")[2] in answer.sentence


@pytest.mark.parametrize("path", sorted({row.method for row in IN_MESSAGES}))
def test_without_the_option_the_same_request_is_not_refused_as_to_come(
    path: str, outside: grpc.Channel, mesh: grpc.Channel
) -> None:
    method = BY_PATH[path]
    answer = call(mesh if method.control else outside, method, [base_request(method)])
    assert answer.reason != "NOT_YET_AVAILABLE", answer


@pytest.mark.parametrize("row", IN_BODIES, ids=named)
def test_an_option_of_a_raw_body_that_is_to_come_is_refused_by_name(row: Row, platform: LivePlatform) -> None:
    verb, route = BY_PATH[row.method].route
    headers = {"Content-Type": "application/json"}
    body = json.loads(json.dumps(INFER))
    if "." in row.option:
        within, name, last = row.option.split(".")
        body[within][0][name] = {last: 4}
    else:
        headers[row.option] = "12"
    status, answer = platform.request(verb, route.replace("{model_name}", "nothing"), json.dumps(body).encode(), headers)
    assert status == 501, answer
    assert [detail["reason"] for detail in answer["details"] if "reason" in detail] == ["NOT_YET_AVAILABLE"]
