"""A platform with only the roles that training needs, in this process, with the digits in its feature store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from synapsenet.training.options import TrainingOptions
from synapsenet_api.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from synapsenet_api.features.v1 import feature_group_pb2, feature_service_pb2, training_set_pb2, value_pb2
from synapsenet_api.features.v1.feature_service_pb2_grpc import FeatureServiceStub
from synapsenet_api.training.v1 import job_pb2
from synapsenet_api.training.v1 import training_service_pb2 as pb
from synapsenet_api.training.v1.training_service_pb2_grpc import TrainingServiceStub
from synapsenet_client import AsyncClient, connect_async
from synapsenet_servers.bootstrap import experiments, features, lifecycle, models, registry, training
from synapsenet_servers.bootstrap.host import hosting
from synapsenet_servers.bootstrap.platform import open_platform
from synapsenet_servers.config import Config
from synapsenet_servers.not_yet_available.training import ROWS

if TYPE_CHECKING:  # the stubs name the asyncio kind for type checkers alone
    from synapsenet_api.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceAsyncStub
    from synapsenet_api.features.v1.feature_service_pb2_grpc import FeatureServiceAsyncStub
    from synapsenet_api.training.v1.training_service_pb2_grpc import TrainingServiceAsyncStub

FINAL = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED)
INT64, FLOAT = value_pb2.VALUE_TYPE_INT64, value_pb2.VALUE_TYPE_FLOAT


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlatform:
    """A running platform without inference.

    `train_set` and `held_out` are training sets of the digits, 3 of 4 images and the others.
    """

    training: TrainingServiceAsyncStub
    experiments: ExperimentServiceAsyncStub
    client: AsyncClient
    train_set: str
    held_out: str

    def spec(self, **changes: Any) -> job_pb2.JobSpec:
        """A job on the digits: two workers, 60 steps, unless `changes` say otherwise."""
        fields: dict[str, Any] = {
            "model": self.model(inputs=64, hidden=[32], classes=10),
            "training_data": digits(self.train_set),
            "evaluation_data": digits(self.held_out),
            "optimizer": job_pb2.Optimizer(learning_rate=0.5),
            "batch_size": 32,
            "steps": 60,
            "workers": job_pb2.Workers(count=2),
        }
        return job_pb2.JobSpec(**(fields | changes))

    @staticmethod
    def model(**arguments: Any) -> job_pb2.ModelSource:
        model = job_pb2.ModelSource(entry_point="mlp")
        model.arguments.update(arguments)
        return model

    async def create(self, spec: job_pb2.JobSpec) -> str:
        answer = await self.training.CreateJob(pb.CreateJobRequest(spec=spec), timeout=20)
        return answer.job.id

    async def end_of(self, job_id: str) -> job_pb2.Job:
        """The job in its final state."""
        async for answer in self.training.WatchJob(pb.WatchJobRequest(job_id=job_id), timeout=60):
            if answer.job.state in FINAL:
                return answer.job
        raise AssertionError(f"the watch of {job_id} ended before the job did")

    async def until(self, job_id: str, *, step: int) -> None:
        """Return once the job has made `step` steps."""
        watch = self.training.WatchJob(pb.WatchJobRequest(job_id=job_id), timeout=60)
        async for answer in watch:
            assert answer.job.state not in FINAL, answer.job.failure
            if answer.job.progress.step >= step:
                break
        watch.cancel()

    async def workers(self, job_id: str) -> list[job_pb2.Worker]:
        answer = await self.training.ListWorkers(pb.ListWorkersRequest(job_id=job_id), timeout=10)
        return list(answer.workers)

    async def parameters(self, job_id: str) -> bytes:
        """The job's parameter file."""
        stream = self.training.DownloadParameters(pb.DownloadParametersRequest(job_id=job_id), timeout=20)
        return b"".join([answer.data async for answer in stream])


@asynccontextmanager
async def training_platform(data: Path, options: TrainingOptions | None = None) -> AsyncIterator[TrainingPlatform]:
    """Features, experiments and training with their files below `data`, which may have been used before."""
    config = Config(training=options or TrainingOptions())
    areas = {"features": features, "experiments": experiments, "models": models, "registry": registry, "lifecycle": lifecycle}
    roles = {name: area.assemble for name, area in areas.items()} | {"training": training.assemble}
    async with (
        open_platform(config, data=data) as platform,
        hosting(platform, roles, outer=[], absent=ROWS),
        grpc.aio.insecure_channel(platform.mesh) as channel,
        connect_async(platform.mesh) as client,
    ):
        store = FeatureServiceStub(channel)
        train_set, held_out = await _digits(store)
        yield TrainingPlatform(
            training=TrainingServiceStub(channel),
            experiments=ExperimentServiceStub(channel),
            client=client,
            train_set=train_set,
            held_out=held_out,
        )


def digits(training_set_id: str) -> job_pb2.DataSource:
    """The digits of a training set, pixels scaled to 0 … 1."""
    return job_pb2.DataSource(
        training_set=job_pb2.TrainingSetSource(training_set_id=training_set_id),
        inputs=["digits:pixels"],
        target="digits:label",
        input_scale=1 / 16,
    )


async def _digits(store: FeatureServiceAsyncStub) -> tuple[str, str]:
    """The training sets of the digits, which are written if they are not there yet."""
    built = await store.ListTrainingSets(feature_service_pb2.ListTrainingSetsRequest(), timeout=20)
    known = {each.name: each.id for each in built.training_sets}
    if not known:
        images = await _write(store)
        known = {name: await _build(store, name, ids) for name, ids in _split(images).items()}
    return known["train"], known["held out"]


async def _write(store: FeatureServiceAsyncStub) -> int:
    pixels, labels = load_digits(return_X_y=True)
    group = feature_group_pb2.FeatureGroup(
        name="digits",
        entity_keys=[feature_group_pb2.EntityKey(name="image_id", type=INT64)],
        features=[
            feature_group_pb2.Feature(name="pixels", type=FLOAT, vector_length=64),
            feature_group_pb2.Feature(name="label", type=INT64),
        ],
    )
    await store.CreateFeatureGroup(feature_service_pb2.CreateFeatureGroupRequest(group=group), timeout=20)
    columns = value_pb2.Columns(
        columns=[
            value_pb2.ColumnType(name="image_id", type=INT64),
            value_pb2.ColumnType(name="pixels", type=FLOAT, vector_length=64),
            value_pb2.ColumnType(name="label", type=INT64),
        ],
        rows=len(labels),
        data=np.arange(len(labels), dtype="<i8").tobytes() + pixels.astype("<f4").tobytes() + labels.astype("<i8").tobytes(),
    )
    batch = feature_service_pb2.WriteBatch(group="digits", columns=columns, event_times_us=[1_700_000_000_000_000])
    await store.WriteFeatures(feature_service_pb2.WriteFeaturesRequest(batch=batch), timeout=20)
    return len(labels)


def _split(images: int) -> dict[str, NDArray[np.int64]]:
    held_out = np.arange(images) % 4 == 0
    return {"train": np.flatnonzero(~held_out), "held out": np.flatnonzero(held_out)}


async def _build(store: FeatureServiceAsyncStub, name: str, ids: NDArray[np.int64]) -> str:
    columns = value_pb2.Columns(
        columns=[value_pb2.ColumnType(name="image_id", type=INT64)], rows=len(ids), data=ids.astype("<i8").tobytes()
    )
    request = feature_service_pb2.BuildTrainingSetRequest(
        spine=training_set_pb2.Spine(columns=columns, instants_us=[1_800_000_000_000_000]),
        features=["digits:pixels", "digits:label"],
        name=name,
    )
    answer = await store.BuildTrainingSet(request, timeout=60)
    return str(answer.training_set.id)
