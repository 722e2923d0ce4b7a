"""The main job, step by step: features, training set, training, sweep, validation, serving, comparison, a failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors.numpy import load as load_parameters

from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition
from synapsenet_api.lifecycle.v1.operation_pb2 import Operation
from synapsenet_api.training.v1.job_pb2 import Job, JobSpec, JobState
from synapsenet_client import AlreadyExists, Client, job_spec, succeeded
from synapsenet_servers.commands.demo import digits
from synapsenet_servers.commands.demo.edge import Edge
from synapsenet_servers.commands.demo.failure import Failure
from synapsenet_servers.commands.demo.onnx_model import perceptron
from synapsenet_servers.commands.demo.outcome import Outcome
from synapsenet_servers.commands.demo.telling import Step, Telling

MODEL = "digits"
METRIC = "accuracy"
LEAST_ACCURACY = 0.95
INPUT_SCALE = 1 / 16
ARGUMENTS = {"inputs": 64, "hidden": [64], "classes": 10}
WORKERS = 4
LEARNING_RATES = (0.02, 0.1, 0.5)
SEEDS = (1, 2, 3)
_ROWS_A_MESSAGE = 8
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Sets:
    """The two training sets, by id."""

    train: str
    held_out: str


class Journey:
    """One run through the platform.

    Args:
        client: the SDK, connected.
        edge: the same platform over HTTP.
        telling: where progress goes.
    """

    def __init__(self, client: Client, edge: Edge, telling: Telling, *, grpc: str, clock: Clock) -> None:
        self._client = client
        self._edge = edge
        self._telling = telling
        self._grpc = grpc
        self._clock = clock
        self._images = digits.images()
        self._train, self._held_out = digits.split(self._images)

    def run(self) -> Outcome:
        """Every step; the figures that came out.

        Raises:
            SynapseNetError: a call was refused.
            FailedPrecondition: JOB_FAILED, naming the job and its reason.
        """
        begun = self._clock.monotonic()
        self._store()
        sets = self._build()
        job = self._train_synchronously(sets)
        experiment_id = self._sweep(sets)
        model, version, artifact = self._register(job, sets)
        self._deploy(version)
        served_accuracy, rate = self._predict()
        comparison, importance = self._compare(experiment_id)
        freshness = self._freshness()
        failure = Failure(
            self._client, self._telling, model=model, serving=version, artifact=artifact, pixels=self._held_out.pixels
        )
        restored = failure.provoke()
        return Outcome(
            images=len(self._images.ids),
            sync_accuracy=job.result.accuracy,
            served_accuracy=served_accuracy,
            rows_per_second=rate,
            model=f"{MODEL}:{version}",
            experiment_id=experiment_id,
            best_learning_rate=_learning_rate(comparison["best"]["params"]),
            p_value=_lowest_against_highest(comparison),
            importance={row["name"]: row["importance"] for row in importance["parameters"]},
            oldest_ms=freshness["age_ms"]["max"],
            rollback_restored=restored,
            grpc=self._grpc,
            http=self._edge.address,
            seconds=self._clock.monotonic() - begun,
        )

    def _store(self) -> None:
        with self._telling.step("stream the images into the feature store") as step:
            features = self._client.features
            try:
                features.create(digits.GROUP, entity_keys=digits.ENTITY_KEYS, features=digits.FEATURES)
            except AlreadyExists:
                step.at(0, 1, "the group is there already")
            batches = list(digits.events(self._images, until=self._clock.now()))
            for answer in features.write_stream(batches):
                step.at(answer.acknowledged_batches, len(batches))
            step.result = f"{len(self._images.ids):,} images on disk"

    def _build(self) -> Sets:
        with self._telling.step("build training sets by a point-in-time join") as step:
            now = self._clock.now()
            sets = []
            for number, (name, images) in enumerate((("train", self._train), ("held-out", self._held_out))):
                step.at(number, 2, name)
                spine = {"image_id": list(images.ids)}
                built = self._client.features.build_training_set(spine, now, digits.REFERENCES, name=f"digits {name}")
                sets.append(built)
            step.result = f"{sets[0].rows:,} images to train on, {sets[1].rows:,} held out"
            return Sets(*(built.id for built in sets))

    def _spec(self, sets: Sets, **wish: Any) -> JobSpec:
        return job_spec(
            entry_point="mlp",
            training_set_id=sets.train,
            evaluation_set_id=sets.held_out,
            inputs=[digits.REFERENCES[0]],
            target=digits.REFERENCES[1],
            input_scale=INPUT_SCALE,
            arguments=ARGUMENTS,
            **wish,
        )

    def _train_synchronously(self, sets: Sets) -> Job:
        experiment = self._experiment("digits, four workers")
        with self._telling.step(f"train by synchronous SGD with {WORKERS} workers") as step:
            spec = self._spec(
                sets,
                steps=400,
                batch_size=32,
                learning_rate=0.5,
                seed=1,
                workers=WORKERS,
                evaluate_every=50,
                experiment_id=experiment,
            )
            job = self._finished(self._client.training.create(spec), step)
            rate = job.progress.steps_per_second
            step.result = f"{job.result.accuracy:.2%} on held-out images, {rate:,.0f} steps/s"
            return job

    def _sweep(self, sets: Sets) -> str:
        experiment = self._experiment("digits, learning rates")
        wishes = [(rate, seed) for rate in LEARNING_RATES for seed in SEEDS]
        with self._telling.step(f"sweep {len(LEARNING_RATES)} learning rates × {len(SEEDS)} seeds") as step:
            jobs = []
            for rate, seed in wishes:
                wish = {"learning_rate": rate, "seed": seed, "steps": 150, "batch_size": 64, "evaluate_every": 50}
                jobs.append(self._client.training.create(self._spec(sets, experiment_id=experiment, **wish)))
            for number, job in enumerate(jobs):
                step.at(number, len(jobs), job.id)
                self._finished(job, None)
            step.result = f"{len(jobs)} runs logged in {experiment}"
            return experiment

    def _experiment(self, name: str) -> str:
        stamp = self._clock.now().strftime("%Y-%m-%d %H:%M:%S.%f")
        return str(self._client.experiments.create(f"{name}, {stamp}").id)

    def _finished(self, job: Job, step: Step | None) -> Job:
        """The job when it is over, told to `step` while it goes on."""
        for update in self._client.training.watch(job.id):
            job = update
            if step is not None:
                step.at(job.progress.step, job.progress.steps, f"loss {job.progress.loss:.3f}")
        if job.state != JobState.JOB_STATE_SUCCEEDED:
            raise FailedPrecondition(
                "JOB_FAILED", f"{job.id} ended as {JobState.Name(job.state)}: {job.failure.reason} {job.failure.message}"
            )
        return job

    def _register(self, job: Job, sets: Sets) -> tuple[str, int, bytes]:
        """The model's id, the version's number, and its artifact."""
        with self._telling.step("validate the model on the held-out images, and register it") as step:
            model = self._model()
            parameters = load_parameters(self._client.training.read_parameters(job.id))
            artifact = perceptron(parameters, input_scale=INPUT_SCALE)
            registry, lifecycle = self._client.registry, self._client.lifecycle
            version = int(registry.create_version(model, metrics={METRIC: job.result.accuracy}).version)
            registry.upload(model, version, artifact, format="ONNX")
            threshold = f"{METRIC}>={LEAST_ACCURACY}"
            operation = lifecycle.validate(
                model, version, evaluation_set_id=sets.held_out, label=digits.REFERENCES[1], thresholds=[threshold]
            )
            self._carried(operation, step)
            measured = lifecycle.validation_report(model, version).metrics[METRIC]
            step.result = f"{MODEL}:{version}, {len(artifact):,} bytes of ONNX, {measured:.2%} right ({threshold})"
            return model, version, artifact

    def _deploy(self, version: int) -> None:
        with self._telling.step("deploy it") as step:
            operation = self._carried(self._client.lifecycle.deploy(MODEL, version), step)
            step.result = ", ".join(done.name for done in operation.steps)

    def _carried(self, operation: Operation, step: Step) -> Operation:
        """The operation when it has succeeded, told to `step` while it goes on."""
        with self._client.lifecycle.watch_operation(operation.id) as changes:
            for change in changes:
                operation = change
                step.at(sum(one.HasField("end_time") for one in change.steps), len(change.steps), change.saga)
        return succeeded(operation)

    def _model(self) -> str:
        try:
            return str(self._client.models.create(MODEL, task="CLASSIFICATION").id)
        except AlreadyExists:
            return str(self._client.models.get(MODEL).id)

    def _predict(self) -> tuple[float, float]:
        with self._telling.step("predict the held-out images over streaming inference") as step:
            pixels, labels = self._held_out.pixels, self._held_out.labels
            starts = range(0, len(labels), _ROWS_A_MESSAGE)
            items = [
                (f"{turn}:{start}", {"pixels": pixels[start : start + _ROWS_A_MESSAGE]})
                for turn in range(_ROUNDS)
                for start in starts
            ]
            right = rows = 0
            begun = self._clock.monotonic()
            for done, answer in enumerate(self._client.inference.predict_stream(MODEL, items)):
                start = int(answer.id.partition(":")[2])
                predicted = np.asarray(answer.outputs["digit"])
                right += int((predicted == labels[start : start + len(predicted)]).sum())
                rows += len(predicted)
                if done % 50 == 0:
                    step.at(done, len(items))
            rate = rows / (self._clock.monotonic() - begun)
            step.result = f"{right / rows:.2%} right, {rate:,.0f} rows/s"
            return right / rows, rate

    def _compare(self, experiment_id: str) -> tuple[Any, Any]:
        with self._telling.step("compare the sweep over HTTP") as step:
            configurations = self._client.experiments.list_configurations(experiment_id)
            entries = [f"{experiment_id}@{configuration.id}" for configuration in configurations]
            comparison = self._edge.compare(entries, METRIC)
            importance = self._edge.importance(experiment_id, METRIC)
            rate = _learning_rate(comparison["best"]["params"])
            step.result = f"learning rate {rate:g} is best; p = {_lowest_against_highest(comparison):.4f}"
            return comparison, importance

    def _freshness(self) -> Any:
        with self._telling.step("read the freshness over HTTP") as step:
            freshness = self._edge.freshness(digits.GROUP)
            step.result = f"{freshness['tracked']} images, the oldest {freshness['age_ms']['max'] / 1_000:.1f} s"
            return freshness


def _learning_rate(params: Any) -> float:
    return float(params["learning_rate"]["double_value"])


def _lowest_against_highest(comparison: Any) -> float:
    """The adjusted p-value of the pair with the lowest and the highest learning rate."""
    by_rate = sorted(comparison["entries"], key=lambda entry: _learning_rate(entry["params"]))
    wanted = {by_rate[0]["entry"], by_rate[-1]["entry"]}
    pair = next(pair for pair in comparison["pairs"] if {pair["first"], pair["second"]} == wanted)
    return float(pair["adjusted_p_value"])
