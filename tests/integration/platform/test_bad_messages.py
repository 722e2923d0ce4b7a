"""What no caller should send, to every RPC that the contracts have: refused by name, with its reason, and quietly logged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from synapsenet_servers.not_yet_available.table import TABLE
from tests.integration.platform.contract_calls import (
    BY_PATH,
    METHODS,
    Answer,
    Method,
    call,
    filled,
    is_required,
    new,
    open_channel,
)
from tests.live import LivePlatform

MIB = 1 << 20
ENDLESS_S = 0.2
ABSENT = {row.method for row in TABLE if not row.option}
LIVE = [
    method for method in METHODS if not method.control and method.path not in ABSENT and "ParameterServer" not in method.path
]
PAGED = [method for method in LIVE if "page_size" in method.request.fields_by_name]
REQUIRING = [method for method in LIVE if any(map(is_required, method.request.fields))]
STREAMS = [method for method in LIVE if method.streams_in]

# Of these the caller is told that it is its own mistake; the others mean that something broke.
CALLERS_OWN = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
}
WORDS = {
    "a slash": "a/b",
    "a way out": "../../etc/passwd",
    "unicode": "モデル😀",
    "a line break": "one\ntwo",
    "a zero": "a\0b",
    "blanks": "   ",
    "a statement": "x'; DROP TABLE models; --",
    "percent signs": "%00%ff%s",
    "10 KB": "i" * 10_240,
    "10 KB of unicode": "😀" * 2_560,
}
LONGEST_SENTENCE = 2_700


@pytest.fixture(scope="module")
def outside(platform: LivePlatform) -> Iterator[grpc.Channel]:
    with open_channel(platform.grpc) as channel:
        yield channel


@pytest.fixture(scope="module", params=["directly", "through Envoy"])
def channel(request: pytest.FixtureRequest, platform: LivePlatform) -> Iterator[grpc.Channel]:
    with open_channel(platform.grpc if request.param == "directly" else platform.http) as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def quiet(platform: LivePlatform) -> Iterator[None]:
    """A caller's mistake is no stack trace in the log."""
    before = len(platform.log())
    yield
    said = platform.log()[before:]
    assert "Traceback" not in said, said
    assert "incident" not in said, said


def assert_refused(answer: Answer, code: grpc.StatusCode, reason: str) -> None:
    assert (answer.code, answer.reason) == (code, reason), answer


def assert_callers_own(answer: Answer) -> None:
    """A clear refusal: a code that is no failure of ours, a reason, one line, a remedy after a colon."""
    assert answer.code in CALLERS_OWN, answer
    assert answer.reason, answer
    assert ": " in answer.sentence, answer
    assert len(answer.sentence) <= LONGEST_SENTENCE
    assert "Traceback" not in answer.sentence


@pytest.mark.parametrize("method", REQUIRING, ids=str)
def test_a_missing_required_field_is_refused_by_name(method: Method, outside: grpc.Channel) -> None:
    answer = call(outside, method, [new(method.request)])
    assert_refused(answer, grpc.StatusCode.INVALID_ARGUMENT, "FIELD_MISSING")
    first = next(field.name for field in method.request.fields if is_required(field) and not number(field))
    assert answer.sentence == f"{first} is missing: set it, it is required"


def number(field: Any) -> bool:
    """Whether its absence cannot be told from its zero."""
    return not field.has_presence and not field.is_repeated and field.cpp_type != field.CPPTYPE_STRING and not field.enum_type


def test_a_missing_field_of_a_nested_message_is_refused_by_its_path(outside: grpc.Channel) -> None:
    method = BY_PATH["/synapsenet.features.v1.FeatureService/CreateFeatureGroup"]
    request = filled(method.request)
    request.group.entity_keys.add(name="id", type=1)
    request.group.entity_keys.add(name="typeless")
    answer = call(outside, method, [request])
    assert_refused(answer, grpc.StatusCode.INVALID_ARGUMENT, "FIELD_MISSING")
    assert answer.sentence.startswith("group.entity_keys[1].type is missing")


@pytest.mark.parametrize("method", LIVE, ids=str)
def test_bytes_that_are_no_message_are_refused(method: Method, outside: grpc.Channel) -> None:
    for garbage in (b"\xff" * 8, b"\x0a\x02\xff\xfe", b"\x0a\x7f"):
        answer = call(outside, method, [garbage], seconds=1)
        if answer.reason != "MESSAGE_MALFORMED":  # where field 1 is no text, the second is a message
            assert garbage == b"\x0a\x02\xff\xfe", answer


@pytest.mark.parametrize("method", LIVE, ids=str)
def test_strange_words_in_every_field_are_a_callers_mistake_at_worst(method: Method, outside: grpc.Channel) -> None:
    for word in WORDS.values():
        for request in (filled(method.request, word), filled(method.request, word, everything=True)):
            answer = call(outside, method, [request], seconds=ENDLESS_S if method.streams_out else 20)
            if answer.code not in (grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED):
                assert_callers_own(answer)


@pytest.mark.parametrize("method", PAGED, ids=str)
def test_a_negative_page_and_a_made_up_token_are_refused(method: Method, outside: grpc.Channel) -> None:
    request = filled(method.request)
    request.page_size = -1
    answer = call(outside, method, [request])
    if answer.code is not grpc.StatusCode.NOT_FOUND:  # existence comes first
        assert_refused(answer, grpc.StatusCode.INVALID_ARGUMENT, "PAGE_SIZE_NEGATIVE")
    request.page_size = 0
    for token in ("made up", "WyJhIiwgWzFdXQ==", "😀", "e30="):
        request.page_token = token
        answer = call(outside, method, [request])
        if answer.code is not grpc.StatusCode.NOT_FOUND:
            assert_refused(answer, grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


def padded(method: Method, size: int) -> bytes:
    """A message whose size comes from a field that no contract has."""
    length = b"".join(bytes([size >> shift & 127 | (128 if shift < 28 else 0)]) for shift in (0, 7, 14, 21, 28))
    return bytes(filled(method.request).SerializeToString()) + b"\xc2\xa9\x07" + length + bytes(size)


@pytest.mark.parametrize("method", [BY_PATH["/synapsenet.models.v1.ModelService/CreateModel"], *STREAMS], ids=str)
def test_an_over_large_message_is_refused_with_its_size_and_the_limit(method: Method, channel: grpc.Channel) -> None:
    answer = call(channel, method, [padded(method, 17 * MIB)])
    assert_refused(answer, grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    assert "over the limit of 16777216" in answer.sentence
    assert "split it" in answer.sentence


def test_a_message_of_half_a_gibibyte_is_refused_no_otherwise(channel: grpc.Channel) -> None:
    method = BY_PATH["/synapsenet.features.v1.FeatureService/StreamFeatures"]
    answer = call(channel, method, [padded(method, 512 * MIB)])
    assert_refused(answer, grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    assert "over the limit of 16777216" in answer.sentence
