"""Sync trajectories: the gradients that workers brought, in the order of their arrival, and the parameters that came of them.

A trajectory is an index in JSON and three files of little-endian binary32: the initial parameters, the gradients [step, worker,
element] and the parameters after each step [step, element].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synapsenet.training.aggregation import Gradient, mean_gradient
from synapsenet.training.barrier import Barrier
from synapsenet.training.optimizer import updater
from synapsenet.training.schema import FLOAT32, Vector
from synapsenet.training.spec import Optimizer
from synapsenet_api.training.v1 import parameter_stream_pb2 as pb
from synapsenet_servers.translate.parameter_stream import push
from tests.golden.files import TRAJECTORIES, read_json, write_json
from tests.golden.parameter_server import Setting, Stream, serving

_EPOCH = 1

Mean = Callable[[Mapping[int, Gradient]], Gradient]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What came to one step.

    Attributes:
        order: the workers in the order of their arrival.
        examples, losses: by worker.
        mean_loss: over all examples.
    """

    order: Sequence[int]
    examples: Sequence[int]
    losses: Sequence[float]
    mean_loss: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a trajectory starts from and what is brought to it.

    Attributes:
        gradients: [step, worker, element].
    """

    says: str
    learning_rate: float
    momentum: float
    steps: Sequence[Step]
    initial: Vector
    gradients: NDArray[np.float32]

    @property
    def workers(self) -> int:
        return len(self.gradients[0])

    def brought(self, number: int) -> Iterator[tuple[int, Gradient]]:
        """The gradients of step `number` in the order of their arrival."""
        step = self.steps[number]
        for worker in step.order:
            values = self.gradients[number, worker].astype(FLOAT32)
            yield worker, Gradient(values=values, examples=step.examples[worker], loss=step.losses[worker])


def replay_in_domain(course: Course, *, mean: Mean = mean_gradient) -> tuple[NDArray[np.float32], list[float]]:
    """Parameters [step, element] and mean losses by the barrier, the mean and the optimizer alone."""
    optimizer = Optimizer(learning_rate=course.learning_rate, momentum=course.momentum)
    rule = updater(optimizer, count=len(course.initial))
    barrier = Barrier(workers=course.workers, timeout=1.0)
    parameters, found, losses = course.initial, [], []
    for number in range(len(course.steps)):
        for worker, gradient in course.brought(number):
            barrier.add(worker, gradient, at=0.0)
        joint = mean(barrier.clear())
        parameters = rule.updated(parameters, joint.values, course.learning_rate)
        found.append(parameters)
        losses.append(joint.loss)
    return np.stack(found), losses


def replay_on_stream(course: Course, *, max_chunk: int = 1_000) -> NDArray[np.float32]:
    """Parameters [step, element] as every worker of a real parameter server hears them.

    Raises:
        AssertionError: workers of one step heard different parameters.
    """
    count = len(course.initial)
    setting = Setting(
        workers=course.workers,
        steps=len(course.steps),
        learning_rate=course.learning_rate,
        momentum=course.momentum,
        tensors=(("all", (count,)),),
        max_chunk=max_chunk,
    )
    found = []
    with serving(setting, course.initial) as channel:
        streams = [_joined(Stream(channel), setting, worker) for worker in range(course.workers)]
        for number in range(len(course.steps)):
            for worker, gradient in course.brought(number):
                said = push(gradient, sequence=number + 1, base_version=number, epoch=_EPOCH, max_chunk=max_chunk)
                for message in said:
                    streams[worker].say(message.SerializeToString())
            heard = {_parameters(stream, count) for stream in streams}
            assert len(heard) == 1, f"the workers heard different parameters after step {number + 1}"
            found.append(np.frombuffer(heard.pop(), FLOAT32))
        for stream in streams:
            stream.close()
    return np.stack(found)


def write_trajectory(folder: Path, name: str, course: Course) -> None:
    """Write what came, and what came of it."""
    parameters, losses = replay_in_domain(course)
    base = folder / TRAJECTORIES / name
    index = {
        "says": course.says,
        "learning_rate": course.learning_rate,
        "momentum": course.momentum,
        "workers": course.workers,
        "elements": len(course.initial),
        "steps": [asdict(step) | {"mean_loss": loss} for step, loss in zip(course.steps, losses, strict=True)],
    }
    write_json(base.with_suffix(".json"), index)
    for part, array in (("initial", course.initial), ("gradients", course.gradients), ("parameters", parameters)):
        base.with_suffix(f".{part}.f32").write_bytes(array.astype(FLOAT32).tobytes())


def read_trajectory(index: Path) -> tuple[Course, NDArray[np.float32]]:
    """The course in the file `index` and those beside it, and the recorded parameters [step, element]."""
    content = read_json(index)
    steps = [Step(**step) for step in content["steps"]]
    arrays = [np.frombuffer(index.with_suffix(f".{part}.f32").read_bytes(), FLOAT32) for part in ("initial", "gradients")]
    parameters = np.frombuffer(index.with_suffix(".parameters.f32").read_bytes(), FLOAT32)
    course = Course(
        says=content["says"],
        learning_rate=content["learning_rate"],
        momentum=content["momentum"],
        steps=steps,
        initial=arrays[0],
        gradients=arrays[1].reshape(len(steps), content["workers"], content["elements"]),
    )
    return course, parameters.reshape(len(steps), content["elements"])


def _joined(stream: Stream, setting: Setting, worker: int) -> Stream:
    hello = pb.Hello(
        job_id=setting.job_id, worker_id=f"worker-{worker}", worker_index=worker, incarnation=1, token=setting.token
    )
    stream.say(pb.TrainRequest(hello=hello).SerializeToString())
    assert _heard(stream).WhichOneof("message") == "welcome"
    return stream


def _parameters(stream: Stream, count: int) -> bytes:
    """What comes after an ack."""
    assert _heard(stream).WhichOneof("message") == "ack"
    data = b""
    while len(data) < count * FLOAT32.itemsize:
        data += _heard(stream).parameters_chunk.data
    return data


def _heard(stream: Stream) -> pb.TrainResponse:
    message = stream.hear()
    assert message is not None, "the server ended the stream"
    return pb.TrainResponse.FromString(message)
