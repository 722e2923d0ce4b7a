"""The SDK and the command line on a running platform: what the scripted one promises holds there too."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from synapsenet_api.registry.v1.version_pb2 import VersionState
from synapsenet_cli import exits
from synapsenet_cli.main import main
from synapsenet_client import (
    AlreadyExists,
    Client,
    FeatureRows,
    InvalidArgument,
    NotFound,
    NotYetAvailable,
    Options,
    ResourceExhausted,
    connect,
    connect_async,
)
from tests.live import LivePlatform, live_platform

ROWS = 1_000
PIXELS = np.arange(ROWS * 4, dtype=np.float32).reshape(ROWS, 4)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    with live_platform(tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture(scope="module", params=["directly", "through Envoy"])
def address(live: LivePlatform, request: pytest.FixtureRequest) -> str:
    return live.grpc if request.param == "directly" else live.http


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with connect(address) as connected:
        yield connected


names = (f"g{number}" for number in itertools.count())


def test_columns_come_back_as_they_were_written(client: Client) -> None:
    group = client.features.create(
        next(names), entity_keys={"id": "INT64"}, features={"pixels": "FLOAT[4]", "note": "STRING", "label": "INT64"}
    )
    taken = datetime.now(UTC) - timedelta(minutes=1)
    batches = [
        FeatureRows(
            group=group,
            columns={
                "id": np.arange(start, start + 100),
                "pixels": PIXELS[start : start + 100],
                "note": [f"nº {place}" for place in range(start, start + 100)],
                "label": [None if place % 2 else place for place in range(start, start + 100)],
            },
            event_times=taken,
        )
        for start in range(0, ROWS, 100)
    ]
    acknowledged = list(client.features.write_stream(batches))
    assert acknowledged[-1].acknowledged_batches == 10
    assert acknowledged[-1].summary.rows == ROWS
    references = [f"{group.name}:{feature}" for feature in ("pixels", "note", "label")]
    answer = client.features.read(references, {"id": np.arange(ROWS)})
    np.testing.assert_array_equal(answer.values[references[0]], PIXELS)
    assert answer.values[references[1]][7] == "nº 7"
    assert answer.rows()[7] == {references[0]: PIXELS[7].tolist(), references[1]: "nº 7", references[2]: None}
    assert client.features.read(references, {"id": [ROWS]}).rows()[0] == dict.fromkeys(references)


def test_the_same_request_id_creates_once_and_another_body_is_refused(client: Client) -> None:
    name = next(names)
    first = client.models.create(name, description="one", request_id=f"r-{name}")
    assert client.models.create(name, description="one", request_id=f"r-{name}").id == first.id
    with pytest.raises(AlreadyExists):
        client.models.create(name, description="two", request_id=f"r-{name}")


def test_lists_go_on_over_pages(client: Client) -> None:
    experiment = client.experiments.create(next(names))
    runs = [client.experiments.create_run(experiment.id, seed=seed).id for seed in range(7)]
    listed = [run.id for run in client.experiments.list_runs(experiment.id, page_size=3)]
    assert sorted(listed) == sorted(runs)


def test_a_logged_run_is_whole(client: Client) -> None:
    experiment = client.experiments.create(next(names))
    with client.experiments.run(experiment.id, params={"optimizer": {"lr": 0.1}}) as run:
        for step in range(30_000):
            run.log({"loss": float(step)}, step=step)
    history = client.experiments.history(run.id, "loss")
    assert history.steps == list(range(30_000))
    assert history.values == [float(step) for step in range(30_000)]


def test_refusals_are_typed_and_name_the_thing(client: Client) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        client.models.get("nowhere")
    with pytest.raises(InvalidArgument) as caught:
        list(client.experiments.search("lr >> 1"))
    assert caught.value.reason == "FILTER_INVALID"
    with pytest.raises(InvalidArgument) as missing:
        client.models.create("")
    assert [found.field for found in missing.value.violations] == ["name"]
    with pytest.raises(NotYetAvailable):
        list(client.training.list_checkpoints("job-0"))


def test_what_is_no_onnx_is_refused_and_the_version_stays_usable(client: Client) -> None:
    model = client.models.create(next(names))
    version = client.registry.create_version(model.id)
    with pytest.raises(InvalidArgument) as caught:
        client.registry.upload(model.id, version.version, b"no onnx at all", format="ONNX")
    assert caught.value.reason == "ARTIFACT_NOT_ONNX"
    assert client.registry.get_version(model.id, version.version).state == VersionState.VERSION_STATE_CREATED


def test_an_over_large_message_names_the_limit(live: LivePlatform) -> None:
    with connect(live.grpc, options=Options(max_message_bytes=1 << 30)) as client, pytest.raises(ResourceExhausted) as caught:
        client.models.create("big", description="x" * (128 << 20))
    assert caught.value.reason == "MESSAGE_TOO_LARGE"


async def test_the_asyncio_client_answers_the_same(client: Client, address: str) -> None:
    experiment = client.experiments.create(next(names))
    async with connect_async(address) as asynchronous:
        assert await asynchronous.experiments.get(experiment.id) == experiment
        listed = [one.id async for one in asynchronous.experiments.list(page_size=1)]
        assert experiment.id in listed


def test_the_command_line_prints_what_http_answers(
    live: LivePlatform, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    model = client.models.create(next(names), labels={"team": "vision"})
    assert main(["models", "get", model.name, "--json", "--target", live.grpc]) == exits.OK
    status, answer = live.get(f"/models/{model.name}")
    assert (status, answer["model"]) == (200, json.loads(capsys.readouterr().out))


def test_a_run_is_logged_whole_although_the_platform_is_killed_in_the_middle(tmp_path: Path) -> None:
    with live_platform(tmp_path) as first:
        port = first.grpc.rpartition(":")[2]
        with connect(first.grpc) as client:
            experiment = client.experiments.create("killed")
            run = client.experiments.run(experiment.id)
            for step in range(20_000):
                run.log({"loss": float(step)}, step=step)
                if step == 10_000:
                    first.kill()
            with live_platform(tmp_path, port=port) as second:
                run.finish()
                history = connect(second.grpc).experiments.history(run.id, "loss")
    assert history.steps == list(range(20_000))
