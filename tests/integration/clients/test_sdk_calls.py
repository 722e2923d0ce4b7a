"""Calls of the SDK against a real gRPC server: requests, deadlines, errors and retries."""

from __future__ import annotations

import socket

import grpc
import pytest

import synapsenet_client
from synapsenet_api.models.v1 import model_service_pb2 as models
from synapsenet_api.models.v1.model_pb2 import Model
from synapsenet_client import Client, NotFound, NotYetAvailable, Options, ResourceExhausted, Retries, Unavailable, connect
from tests.integration.clients.scripted import Listening, Refusal, ScriptedPlatform

CREATED = models.CreateModelResponse(model=Model(id="mdl-1", name="digits"))


def unavailable() -> Refusal:
    return Refusal(grpc.StatusCode.UNAVAILABLE, "DRAINING", "the platform is stopping")


def test_a_call_sends_its_arguments_and_returns_the_resource(client: Client, platform: ScriptedPlatform) -> None:
    platform.answers["CreateModel"] = CREATED
    model = client.models.create("digits", task="classification", labels={"team": "vision"})
    assert model.id == "mdl-1"
    (request,) = platform.requests
    assert (request.name, request.task, dict(request.labels)) == ("digits", 1, {"team": "vision"})


def test_a_creation_carries_a_request_id_of_its_own_making(client: Client, platform: ScriptedPlatform) -> None:
    platform.answers["CreateModel"] = CREATED
    client.models.create("digits")
    client.models.create("digits")
    first, second = (request.request_id for request in platform.requests)
    assert first
    assert second
    assert first != second


def test_a_request_id_that_the_caller_gives_is_kept(client: Client, platform: ScriptedPlatform) -> None:
    platform.answers["CreateModel"] = CREATED
    client.models.create("digits", request_id="mine")
    assert platform.requests[0].request_id == "mine"


def test_a_retried_creation_repeats_its_request_id(client: Client, platform: ScriptedPlatform) -> None:
    platform.answers["CreateModel"] = [unavailable(), unavailable(), CREATED]
    assert client.models.create("digits").name == "digits"
    assert len(platform.requests) == 3
    assert len({request.request_id for request in platform.requests}) == 1


def test_retries_are_bounded(client: Client, platform: ScriptedPlatform) -> None:
    platform.answers["GetModel"] = unavailable()
    with pytest.raises(Unavailable) as caught:
        client.models.get("digits")
    assert caught.value.reason == "DRAINING"
    assert len(platform.requests) == Retries().attempts


def test_the_retry_budget_holds_retries_back_once_it_is_half_spent(listening: Listening) -> None:
    retries = Retries(first_backoff=0.01, longest_backoff=0.02, budget=4)
    listening.platform.answers["GetModel"] = unavailable()
    with connect(listening.target, options=Options(retries=retries)) as client:
        for _ in range(10):
            with pytest.raises(Unavailable):
                client.models.get("digits")
    assert len(listening.platform.requests) <= 10 + 2


def test_nothing_but_unavailable_is_retried(client: Client, platform: ScriptedPlatform) -> None:
    platform.answers["GetModel"] = Refusal(grpc.StatusCode.ABORTED, "ETAG_CHANGED", "somebody else was faster")
    with pytest.raises(synapsenet_client.Aborted):
        client.models.get("digits")
    assert len(platform.requests) == 1


def test_a_refusal_arrives_with_its_reason_sentence_fields_and_metadata(client: Client, platform: ScriptedPlatform) -> None:
    platform.answers["GetModel"] = Refusal(
        grpc.StatusCode.NOT_FOUND, "MODEL_UNKNOWN", "no model is called digits", field="model_id", metadata={"model": "digits"}
    )
    with pytest.raises(NotFound) as caught:
        client.models.get("digits")
    assert str(caught.value) == "no model is called digits"
    assert caught.value.reason == "MODEL_UNKNOWN"
    assert caught.value.metadata == {"model": "digits"}
    assert [found.field for found in caught.value.violations] == ["model_id"]


def test_a_full_queue_says_when_to_come_back(client: Client, platform: ScriptedPlatform) -> None:
    full = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", "the queue is full", retry_after=1.5)
    platform.answers["GetModel"] = full
    with pytest.raises(ResourceExhausted) as caught:
        client.models.get("digits")
    assert caught.value.retry_after == 1.5


def test_what_a_later_release_brings_is_told_from_what_is_unknown(client: Client, platform: ScriptedPlatform) -> None:
    platform.answers["GetModel"] = Refusal(grpc.StatusCode.UNIMPLEMENTED, "NOT_YET_AVAILABLE", "it comes with lifecycle")
    with pytest.raises(NotYetAvailable):
        client.models.get("digits")
    with pytest.raises(synapsenet_client.Unimplemented) as caught:
        client.lifecycle.machine()
    assert not isinstance(caught.value, NotYetAvailable)


def test_every_call_has_a_deadline_that_within_overrides(client: Client, platform: ScriptedPlatform) -> None:
    platform.answers["GetModel"] = models.GetModelResponse()
    client.models.get("digits")
    client.within(3.0).models.get("digits")
    by_default, overridden = platform.deadlines
    assert by_default is not None
    assert 5.0 < by_default < 11.0
    assert overridden is not None
    assert overridden < 4.0


def test_a_call_that_takes_too_long_ends_at_its_deadline(client: Client, platform: ScriptedPlatform) -> None:
    import threading

    released = threading.Event()
    platform.answers["GetModel"] = lambda request: released.wait(10) and models.GetModelResponse()
    with pytest.raises(synapsenet_client.DeadlineExceeded, match=r"did not answer within 0\.2 s"):
        client.within(0.2).models.get("digits")
    released.set()


def test_nobody_at_the_target_is_one_sentence_that_names_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        with connect(target, options=Options(retries=Retries(attempts=1))) as client, pytest.raises(Unavailable) as caught:
            client.models.get("digits")
    assert caught.value.reason == "UNREACHABLE"
    assert target in str(caught.value)
    assert "synapsenet dev" in str(caught.value)


def test_waiting_for_a_connection_ends_when_somebody_listens_and_at_the_timeout(client: Client) -> None:
    client.wait_until_connected(10.0)
    with connect("127.0.0.1:1") as nobody, pytest.raises(synapsenet_client.DeadlineExceeded):
        nobody.wait_until_connected(0.2)


def test_an_over_large_request_is_refused_before_it_is_sent(listening: Listening) -> None:
    small = Options(max_message_bytes=1000)
    with connect(listening.target, options=small) as client, pytest.raises(ResourceExhausted) as caught:
        client.models.create("digits", description="x" * 2000)
    assert caught.value.reason == "MESSAGE_TOO_LARGE"
    assert "the limit is 1000" in str(caught.value)
    assert not listening.platform.requests


def test_token_user_agent_and_metadata_travel_with_every_call(listening: Listening) -> None:
    listening.platform.answers["GetModel"] = models.GetModelResponse()
    options = Options(token="secret", user_agent="trainer/2", metadata={"X-Team": "vision"})  # no real one
    with connect(listening.target, options=options) as client:
        client.models.get("digits")
    (sent,) = listening.platform.metadata
    assert sent["authorization"] == "Bearer secret"
    assert str(sent["user-agent"]).startswith("trainer/2 ")
    assert sent["x-team"] == "vision"


def test_a_list_is_read_page_by_page_and_only_as_far_as_it_is_iterated(client: Client, platform: ScriptedPlatform) -> None:
    pages = {"": (["a", "b"], "2"), "2": (["c"], "3"), "3": (["d"], "")}

    def page(request: models.ListModelsRequest) -> models.ListModelsResponse:
        names, token = pages[request.page_token]
        return models.ListModelsResponse(models=[Model(name=name) for name in names], next_page_token=token)

    platform.answers["ListModels"] = page
    listed = client.models.list(name_prefix="x", page_size=2)
    assert [next(listed).name for _ in range(3)] == ["a", "b", "c"]
    assert len(platform.requests) == 2
    assert [model.name for model in listed] == ["d"]
    assert {(request.name_prefix, request.page_size) for request in platform.requests} == {("x", 2)}


def test_the_target_may_come_from_the_environment(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSENET_TARGET", listening.target)
    listening.platform.answers["GetModel"] = models.GetModelResponse(model=Model(id="mdl-7"))
    with connect() as client:
        assert client.models.get("digits").id == "mdl-7"
