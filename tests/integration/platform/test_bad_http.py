"""What a confused person or a hostile page sends over HTTP: one sentence in JSON, the right status, nothing changed."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest

from tests.live import LivePlatform

JSON = {"Content-Type": "application/json"}
LONG = "i" * 10_000
INVOKE = "/synapsenet.models.v1.ModelService/GetModel"
WEB = "application/grpc-web+proto"


@pytest.fixture(scope="module", autouse=True)
def quiet(platform: LivePlatform) -> Iterator[None]:
    """A caller's mistake is no stack trace in the log, and makes no model."""
    before, models = len(platform.log()), platform.get("/models?page_size=1000")
    yield
    assert "Traceback" not in platform.log()[before:]
    assert platform.get("/models?page_size=1000") == models


def refusal(
    platform: LivePlatform, verb: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Status, reason and sentence."""
    status, answer = platform.request(verb, path, body, JSON if headers is None else headers)
    assert isinstance(answer, dict), answer
    reasons = [detail["reason"] for detail in answer["details"] if "reason" in detail]
    assert len(reasons) == 1, answer
    assert "\n" not in answer["message"] or reasons == ["REQUEST_MALFORMED"], answer
    return status, reasons[0], answer["message"]


QUESTIONS = {
    "/nothing/here": (404, "ROUTE_UNKNOWN", "there is no route GET /nothing/here"),
    "/models/../../etc/passwd": (404, "ROUTE_UNKNOWN", "/etc/passwd"),
    "/experiments/search?filtr=x": (400, "REQUEST_MALFORMED", '"filtr"'),
    "/features/freshness?groups=digits": (400, "REQUEST_MALFORMED", '"groups"'),
    "/models?page_size=many": (400, "REQUEST_MALFORMED", 'page_size: invalid value "many"'),
    "/models?page_size=-1": (400, "PAGE_SIZE_NEGATIVE", "page_size is negative"),
    "/models?page_token=made-up": (400, "PAGE_TOKEN_INVALID", "next_page_token unchanged"),
    "/models/m/versions/first": (400, "REQUEST_MALFORMED", '"first"'),
    "/features/freshness?state=ROTTEN": (400, "STATE_UNKNOWN", "FRESH, WARN, STALE"),
    "/features/freshness?group=nothing": (404, "GROUP_UNKNOWN", "nothing"),
    "/experiments/compare": (400, "FIELD_MISSING", "experiment_ids is missing"),
    "/experiments/compare?experiment_ids=": (400, "ENTRY_INVALID", "EXPERIMENT_ID@CONFIGURATION_ID"),
    "/experiments/compare?experiment_ids=a&alpha=7": (400, "FRACTION_INVALID", "above 0 and below 1"),
    "/experiments/compare?experiment_ids=a&test=LUCK": (400, "REQUEST_MALFORMED", '"LUCK"'),
    f"/experiments/search?filter={quote('lr >')}": (400, "FILTER_INVALID", "position 5 found the end"),
    f"/experiments/search?filter={quote('lr >> 1')}": (400, "FILTER_INVALID", "position 5"),
    f"/experiments/search?filter={quote('(' * 5_000)}": (400, "FILTER_INVALID", "position"),
    f"/experiments/search?filter={quote('lr > 1e999')}": (400, "FILTER_INVALID", "64 bits"),
    f"/experiments/search?order_by={quote('x; DROP TABLE runs')}": (400, "FILTER_INVALID", "position 2 found ';'"),
    f"/experiments/search?filter={quote('a = 1 AND ' * 3_000)}": (431, "HEADERS_TOO_LARGE", "send less"),
    "/models/%ff%fe": (400, "MESSAGE_MALFORMED", "UTF-8"),
    "/models/a%2Fb": (404, "MODEL_UNKNOWN", "there is no model a/b"),
    f"/models/{quote('モデル')}": (404, "MODEL_UNKNOWN", "there is no model モデル"),
    f"/models/{LONG}": (404, "MODEL_UNKNOWN", "iii … iii"),
    f"/v2/models/{LONG}": (404, "MODEL_UNKNOWN", "iii … iii"),
    f"/training/jobs/{LONG}": (404, "JOB_UNKNOWN", "list the jobs"),
    f"/experiments/{quote(chr(39) + ' OR 1=1 --')}": (404, "EXPERIMENT_UNKNOWN", "' OR 1=1 --"),
    "/training/jobs/nothing:watch": (404, "JOB_UNKNOWN", "there is no job 'nothing'"),
    "/features/training-sets/..%2F..%2Fetc:read": (404, "TRAINING_SET_UNKNOWN", "../../etc"),
    "/v2/models/nothing/ready": (404, "MODEL_UNKNOWN", "there is no model nothing"),
}


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path[:60])
def test_a_question_that_cannot_be_answered_is_told_why(path: str, platform: LivePlatform) -> None:
    status, reason, sentence = refusal(platform, "GET", path)
    expected_status, expected_reason, words = QUESTIONS[path]
    assert (status, reason) == (expected_status, expected_reason), sentence
    if "…" in words:
        assert " … " in sentence
        assert len(sentence) < 2_700
    else:
        assert words in sentence
    assert ": " in sentence


BODIES: dict[str, tuple[str, bytes, int, str, str]] = {
    "cut short": ("/models", b'{"name":', 400, "REQUEST_MALFORMED", "Unexpected end"),
    "empty": ("/models", b"", 400, "FIELD_MISSING", "name is missing"),
    "a list": ("/models", b"[]", 400, "REQUEST_MALFORMED", "must be a message"),
    "a number for a text": ("/models", b'{"name": 5}', 400, "REQUEST_MALFORMED", "name: invalid value 5"),
    "no UTF-8": ("/models", b'{"name": "\xff"}', 400, "REQUEST_MALFORMED", "UTF-8"),
    "deep": ("/models", b"[" * 10_000, 400, "REQUEST_MALFORMED", "too deep"),
    "a bad name": ("/models", b'{"name": "a/b"}', 400, "MODEL_NAME_INVALID", "use 1 to 128"),
    "no such type": (
        "/features/groups",
        b'{"group": {"name": "a", "entity_keys": [{"name": "k", "type": "WORDS"}]}}',
        400,
        "REQUEST_MALFORMED",
        "group.entity_keys[0].type",
    ),
    "a field missing deep inside": (
        "/features/groups",
        b'{"group": {"name": "a", "entity_keys": [{"name": "k"}]}}',
        400,
        "FIELD_MISSING",
        "group.entity_keys[0].type is missing",
    ),
    "no reference": ("/features/online:read", b'{"features": ["x"]}', 400, "REFERENCE_INVALID", "write group:feature"),
    "no inference request": ("/v2/models/nothing/infer", b"what?", 400, "BODY_NOT_JSON", "as JSON"),
    "too large": ("/models", b'{"name": "' + b"x" * (17 << 20) + b'"}', 413, "BODY_TOO_LARGE", "send less at a time"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_does_not_fit_is_told_why(case: str, platform: LivePlatform) -> None:
    path, body, expected_status, expected_reason, words = BODIES[case]
    status, reason, sentence = refusal(platform, "POST", path, body)
    assert (status, reason) == (expected_status, expected_reason), sentence
    assert words in sentence


STRANGERS = {
    "a page of another origin": ({"Origin": "http://evil.example"} | JSON, 403, "ORIGIN_REFUSED"),
    "a page without an origin": ({"Origin": "null"} | JSON, 403, "ORIGIN_REFUSED"),
    "a rebound name": ({"Host": "evil.example"} | JSON, 421, "HOST_REFUSED"),
    "a name that begins as ours": ({"Host": "127.0.0.1.evil.example"} | JSON, 421, "HOST_REFUSED"),
    "a form": ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "CONTENT_TYPE_REFUSED"),
    "a form in disguise": ({"Content-Type": "text/plain; charset=utf-8"}, 415, "CONTENT_TYPE_REFUSED"),
    "large headers": ({"X-Story": "y" * 60_000} | JSON, 431, "HEADERS_TOO_LARGE"),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_a_web_page_cannot_drive_the_platform(case: str, platform: LivePlatform) -> None:
    headers, expected_status, expected_reason = STRANGERS[case]
    status, reason, sentence = refusal(platform, "POST", "/models", b'{"name": "planted"}', headers)
    assert (status, reason) == (expected_status, expected_reason)
    assert ": " in sentence


FRAMES = {
    "no frame": (b"garbage", WEB, "3"),
    "a frame of garbage": (b"\x00\x00\x00\x00\x04\xff\xff\xff\xff", WEB, "3"),
    "a frame that breaks off in its message": (b"\x00\x00\x00\x00\x10abc", WEB, "3"),
    "a frame that breaks off in its length": (b"\x00\x00", WEB, "3"),
    "an empty frame": (b"\x00\x00\x00\x00\x00", WEB, "3"),
    "no base64": (b"garbage", "application/grpc-web-text", "13"),
}


@pytest.mark.parametrize("case", FRAMES)
def test_garbage_over_grpc_web_gets_a_status_with_its_details(case: str, platform: LivePlatform) -> None:
    body, kind, status = FRAMES[case]
    headers = invoke(platform, INVOKE, body, kind)
    assert headers["grpc-status"] == status
    assert headers["grpc-message"]
    assert headers["grpc-status-details-bin"]


def test_a_control_service_is_not_reachable_over_grpc_web(platform: LivePlatform) -> None:
    close = "/synapsenet.registry.v1.RegistryControlService/CloseModel"
    headers = invoke(platform, close, b"\x00\x00\x00\x00\x00", WEB)
    assert headers["grpc-status"] == "12"
    assert "routes no such method" in headers["grpc-message"]


def invoke(platform: LivePlatform, path: str, body: bytes, kind: str) -> dict[str, Any]:
    """The answer's headers."""
    connection = http.client.HTTPConnection(platform.http, timeout=20)
    try:
        connection.request("POST", path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        answer.read()
        return {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def test_what_is_refused_over_http_says_the_same_in_its_details(platform: LivePlatform) -> None:
    _, answer = platform.post("/models", {"description": "nameless"})
    kinds = {detail["@type"].rpartition(".")[2]: detail for detail in answer["details"]}
    assert kinds["ErrorInfo"]["domain"] == "synapsenet"
    (violation,) = kinds["BadRequest"]["field_violations"]
    assert (violation["field"], violation["description"]) == ("name", answer["message"])
