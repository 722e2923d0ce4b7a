"""The parameter server's stream on a real threaded server: what well-behaved and ill-behaved workers hear."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from synapsenet.clock import SystemClock
from synapsenet.errors import Aborted, FailedPrecondition, Unavailable
from synapsenet.ids import SeededIds
from synapsenet.training.aggregation import Gradient
from synapsenet.training.optimizer import Sgd
from synapsenet.training.parameter_server import ParameterServer, Plan
from synapsenet.training.schema import FLOAT32, ParameterSchema
from synapsenet_api.training.v1 import job_pb2
from synapsenet_api.training.v1 import parameter_stream_pb2 as pb
from synapsenet_api.training.v1.parameter_server_service_pb2_grpc import (
    ParameterServerServiceStub,
    add_ParameterServerServiceServicer_to_server,
)
from synapsenet_servers.peers.parameter_stream import GrpcParameterStream, Membership
from synapsenet_servers.servicers.parameter_server import ParameterServerServicer, Served

SCHEMA = ParameterSchema.of([("weight", (5, 4))])
SERVED = Served(job_id="job-1", token="secret", epoch=1, max_chunk=32)
PATIENCE = 10.0

# Recorded conversations replay these bytes: a hello that offers nothing newer is answered with them for ever.
PLAIN_CONVERSATION = [
    (
        "0a5c0a166c656173652d363531366633653565656130323066311202080a1801200132340a0e0a06776569676874100c1a02"
        "050410501a206f46059a78ad337a5a48baeb3e47feadf3f4099918605cafaba8484f177ac702482068027001"
    ),
    "1216104018507a1000008041000088410000904100009841",
    "22110801100121000000000000e03f28013801",
]


def new_server(workers: int = 1, steps: int = 2) -> ParameterServer:
    plan = Plan(workers=workers, steps=steps, learning_rate=0.5, step_timeout=PATIENCE, lease_ttl=PATIENCE)
    parameters = np.arange(20, dtype=FLOAT32)
    return ParameterServer(
        plan=plan, schema=SCHEMA, parameters=parameters, updater=Sgd(momentum=0, count=20), clock=SystemClock()
    )


class Serving:
    """A parameter server that listens on a socket of its own."""

    def __init__(self, server: ParameterServer, path: Path) -> None:
        self.server = server
        self._grpc = grpc.server(ThreadPoolExecutor(8))
        servicer = ParameterServerServicer(server, SERVED, SeededIds("lease", 1))
        add_ParameterServerServiceServicer_to_server(servicer, self._grpc)
        self._grpc.add_insecure_port(f"unix:{path}")
        self._grpc.start()
        self.channel = grpc.insecure_channel(f"unix:{path}")

    def stop(self) -> None:
        self.channel.close()
        self._grpc.stop(0).wait()


class Talk:
    """A stream on which a test says what it likes."""

    def __init__(self, serving: Serving) -> None:
        self._says: queue.Queue[pb.TrainRequest | None] = queue.Queue()
        self.answers: Any = ParameterServerServiceStub(serving.channel).Train(iter(self._says.get, None), timeout=PATIENCE)

    def say(self, **message: Any) -> None:
        self._says.put(pb.TrainRequest(**message))

    def hear(self, kind: str) -> Any:
        answer = next(self.answers)
        assert answer.WhichOneof("message") == kind, answer
        return getattr(answer, kind)

    def rejected(self, code: int, words: str) -> pb.Reject:
        reject: pb.Reject = self.hear("reject")
        assert reject.code == code
        assert words in reject.message
        return reject

    def push(self, sequence: int, values: np.ndarray, **end: Any) -> None:
        """A whole push of `values`, in chunks of 32 bytes."""
        raw = values.astype(FLOAT32).tobytes()
        for start in range(0, len(raw), 32):
            self.say(push_chunk=pb.PushChunk(sequence=sequence, offset_bytes=start, data=raw[start : start + 32]))
        fields = {"base_version": sequence - 1, "server_epoch": 1, "examples": 1, "size_bytes": len(raw)} | end
        self.say(push_end=pb.PushEnd(sequence=sequence, **fields))


def hello(index: int = 0, **changes: Any) -> pb.Hello:
    fields: dict[str, Any] = {
        "job_id": "job-1",
        "worker_id": f"worker-{index}",
        "worker_index": index,
        "incarnation": 1,
        "token": "secret",
    }
    return pb.Hello(**(fields | changes))


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    started = Serving(new_server(), tmp_path / "ps.sock")
    yield started
    started.stop()


@pytest.fixture
def talk(serving: Serving) -> Talk:
    return Talk(serving)


def joined(talk: Talk) -> Talk:
    talk.say(hello=hello())
    talk.hear("welcome")
    return talk


def test_a_plain_conversation_has_these_bytes(talk: Talk) -> None:
    talk.say(hello=hello())
    talk.say(pull=pb.Pull())
    heard = [next(talk.answers) for _ in range(4)]
    talk.push(1, np.ones(20), pull=True)
    heard += [next(talk.answers) for _ in range(4)]
    assert [answer.WhichOneof("message") for answer in heard] == [
        "welcome",
        *["parameters_chunk"] * 3,
        "ack",
        *["parameters_chunk"] * 3,
    ]
    assert [answer.SerializeToString().hex() for answer in heard[:1] + heard[3:5]] == PLAIN_CONVERSATION
    after = b"".join(answer.parameters_chunk.data for answer in heard[5:])
    assert after == (np.arange(20, dtype=FLOAT32) - np.float32(0.5)).tobytes()


@pytest.mark.parametrize(
    "message",
    [
        pb.PushChunk(sequence=7, offset_bytes=99, crc32c=1, data=b"payload"),
        pb.ParametersChunk(version=7, offset_bytes=99, size_bytes=9, codec=job_pb2.CODEC_FLOAT32, crc32c=1, data=b"payload"),
    ],
)
def test_the_payload_stands_last_in_every_bulk_message(message: pb.PushChunk | pb.ParametersChunk) -> None:
    assert message.SerializeToString().endswith(b"\x7a\x07payload")
    assert max(field.number for field in message.DESCRIPTOR.fields) == message.DESCRIPTOR.fields_by_name["data"].number


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ({"pull": pb.Pull()}, pb.REJECT_CODE_PROTOCOL, "first message must be a hello"),
        ({"hello": hello(token="guessed")}, pb.REJECT_CODE_IDENTITY, "does not belong to this job"),
        ({"hello": hello(job_id="job-2")}, pb.REJECT_CODE_IDENTITY, "does not belong to this job"),
        ({"hello": hello(worker_id="worker-9")}, pb.REJECT_CODE_IDENTITY, "does not belong to this job"),
        ({"hello": hello(index=1)}, pb.REJECT_CODE_IDENTITY, "workers 0 to 0, not 1"),
        ({"hello": hello(schema_digest=b"other")}, pb.REJECT_CODE_SCHEMA, "other parameters"),
        ({}, pb.REJECT_CODE_PROTOCOL, "first message must be a hello"),
    ],
)
def test_who_does_not_belong_is_refused_at_the_door_and_the_job_goes_on(
    serving: Serving, talk: Talk, said: dict[str, Any], code: int, words: str
) -> None:
    talk.say(**said)
    assert talk.rejected(code, words).action == pb.REJECT_ACTION_STOP
    assert list(talk.answers) == []
    joined(Talk(serving))


def test_a_surplus_worker_is_refused_at_hello(serving: Serving, talk: Talk) -> None:
    joined(talk)
    second = Talk(serving)
    second.say(hello=hello())
    second.rejected(pb.REJECT_CODE_FULL, "worker-0 has joined already")
    talk.say(heartbeat=pb.Heartbeat(number=3))
    assert talk.hear("heartbeat").number == 3


def test_a_pull_of_what_the_worker_has_sends_no_parameters(talk: Talk) -> None:
    joined(talk).say(pull=pb.Pull(have_version=0))
    assert talk.hear("not_modified").version == 0


def test_a_smaller_chunk_that_the_worker_asks_for_is_kept(talk: Talk) -> None:
    talk.say(hello=hello(max_chunk_bytes=20))
    talk.hear("welcome")
    talk.say(pull=pb.Pull())
    assert [len(talk.hear("parameters_chunk").data) for _ in range(4)] == [20] * 4


def test_a_push_on_old_parameters_is_refused_and_the_stream_goes_on(talk: Talk) -> None:
    joined(talk).push(1, np.ones(20))
    assert talk.hear("ack").version == 1
    talk.push(2, np.ones(20), base_version=0)
    reject = talk.rejected(pb.REJECT_CODE_VERSION, "is of version 0, the step needs 1")
    assert (reject.sequence, reject.action, reject.version) == (2, pb.REJECT_ACTION_PULL, 1)
    talk.push(3, np.ones(20), base_version=1)
    assert talk.hear("ack").version == 2


def test_a_push_that_is_not_whole_is_refused_and_can_be_sent_again(talk: Talk) -> None:
    joined(talk).say(push_chunk=pb.PushChunk(sequence=1, offset_bytes=0, data=bytes(32)))
    talk.say(push_end=pb.PushEnd(sequence=1, server_epoch=1, examples=1))
    assert talk.rejected(pb.REJECT_CODE_INCOMPLETE, "32 of 80 bytes").action == pb.REJECT_ACTION_RESEND
    talk.push(1, np.ones(20))
    assert talk.hear("ack").version == 1


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ({"push_chunk": pb.PushChunk(sequence=2, data=b"1234")}, pb.REJECT_CODE_DUPLICATE, "push 2 is out of turn, next is 1"),
        ({"push_chunk": pb.PushChunk(sequence=1, offset_bytes=8, data=b"1234")}, pb.REJECT_CODE_SHAPE, "bytes 8 to 12"),
        ({"push_chunk": pb.PushChunk(sequence=1, data=bytes(84))}, pb.REJECT_CODE_SHAPE, "at most 80"),
        (
            {"push_end": pb.PushEnd(sequence=1, server_epoch=1, codec=job_pb2.CODEC_FLOAT16, examples=1)},
            pb.REJECT_CODE_CODEC,
            "only float32",
        ),
        ({"push_end": pb.PushEnd(sequence=1, server_epoch=2, examples=1)}, pb.REJECT_CODE_EPOCH, "of life 2, this is 1"),
        ({"push_end": pb.PushEnd(sequence=1, server_epoch=1)}, pb.REJECT_CODE_PROTOCOL, "1 example or more"),
        ({"hello": hello()}, pb.REJECT_CODE_PROTOCOL, "one hello"),
        ({"shared_memory": pb.SharedMemory(name="x")}, pb.REJECT_CODE_PROTOCOL, "shared_memory was not negotiated"),
        ({}, pb.REJECT_CODE_PROTOCOL, "an empty message"),
    ],
)
def test_a_member_that_breaks_the_rules_is_stopped_and_the_job_fails_by_its_name(
    serving: Serving, talk: Talk, said: dict[str, Any], code: int, words: str
) -> None:
    joined(talk).say(**said)
    talk.rejected(code, words)
    failure = serving.server.attend()
    assert failure is not None
    assert failure.worker_id == "worker-0"
    assert words in failure.message
    assert serving.server.pull().parameters.tobytes() == np.arange(20, dtype=FLOAT32).tobytes()


@pytest.mark.parametrize("chunks", [0, 1, 2, 3])
def test_a_worker_that_vanishes_in_the_middle_of_a_push_leaves_the_parameters_as_they_were(
    serving: Serving, talk: Talk, chunks: int
) -> None:
    joined(talk)
    for number in range(chunks):
        talk.say(push_chunk=pb.PushChunk(sequence=1, offset_bytes=32 * number, data=bytes(32 if number < 2 else 16)))
    talk.say(heartbeat=pb.Heartbeat(number=1))
    talk.hear("heartbeat")
    talk.answers.cancel()
    failure = serving.server.attend()
    assert failure is not None
    assert (failure.reason, failure.worker_id) == ("WORKER_LOST", "worker-0")
    assert serving.server.pull().version == 0


def test_a_goodbye_before_the_last_step_fails_the_job_with_the_reason_that_was_given(serving: Serving, talk: Talk) -> None:
    joined(talk).say(goodbye=pb.Goodbye(reason="DATA_UNUSABLE", message="a column is missing"))
    talk.hear("closing")
    failure = serving.server.attend()
    assert failure is not None
    assert (failure.reason, failure.message) == ("DATA_UNUSABLE", "worker-0 left: a column is missing")


class TestWorkerSide:
    def stream(self, serving: Serving, index: int = 0) -> GrpcParameterStream:
        membership = Membership(job_id="job-1", index=index, token="secret")
        return GrpcParameterStream(serving.channel, membership, SCHEMA, join=PATIENCE)

    def gradient(self) -> Gradient:
        return Gradient(values=np.ones(20, FLOAT32), examples=3, loss=1.0)

    def test_a_worker_trains_to_the_last_version_and_leaves(self, serving: Serving) -> None:
        stream = self.stream(serving)
        assert stream.last_version == 2
        current = stream.pull()
        while current.version < stream.last_version:
            current = stream.push(self.gradient(), base_version=current.version)
        stream.leave()
        assert serving.server.attend() is None
        assert current.parameters.tobytes() == (np.arange(20, dtype=FLOAT32) - np.float32(0.5) - np.float32(0.5)).tobytes()

    def test_a_refusal_is_raised_with_its_sentence(self, serving: Serving) -> None:
        self.stream(serving)
        with pytest.raises(FailedPrecondition, match="worker-0 has joined already"):
            self.stream(serving)

    def test_the_loss_of_another_worker_is_told_as_the_end_of_the_job(self, tmp_path: Path) -> None:
        serving = Serving(new_server(workers=2), tmp_path / "two.sock")
        stream, other = self.stream(serving, 0), self.stream(serving, 1)
        other.close()
        failure = serving.server.attend()
        assert failure is not None
        with pytest.raises(Aborted, match="worker-1 was lost"):
            stream.push(self.gradient(), base_version=0)
        serving.stop()

    def test_a_server_that_dies_is_lost(self, serving: Serving) -> None:
        stream = self.stream(serving)
        serving._grpc.stop(0).wait()
        with pytest.raises(Unavailable) as raised:
            stream.pull()
        assert raised.value.reason == "PARAMETER_SERVER_LOST"

    def test_a_server_that_is_not_there_is_waited_for_no_longer_than_asked(self, tmp_path: Path) -> None:
        membership = Membership(job_id="job-1", index=0, token="secret")
        with grpc.insecure_channel(f"unix:{tmp_path / 'absent.sock'}") as channel, pytest.raises(Unavailable) as raised:
            GrpcParameterStream(channel, membership, SCHEMA, join=0.1)
        assert raised.value.reason == "PARAMETER_SERVER_LOST"
