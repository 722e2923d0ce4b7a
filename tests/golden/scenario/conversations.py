"""What workers say on the training stream, and how many messages they hear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synapsenet.training.schema import FLOAT32
from synapsenet_api.training.v1 import job_pb2
from synapsenet_api.training.v1 import parameter_stream_pb2 as pb
from tests.golden.conversations import Conversation, Turn
from tests.golden.parameter_server import Setting

_COUNT = 20
_CHUNK = 32
_CHUNKS = 3
_SMALL_CHUNKS = 4


def _say(**message: Any) -> bytes:
    return pb.TrainRequest(**message).SerializeToString(deterministic=True)


def _hello(index: int = 0, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "job_id": "job-1",
        "worker_id": f"worker-{index}",
        "worker_index": index,
        "incarnation": 1,
        "token": "recorded",
        "schema_digest": Setting().schema.digest,
    }
    return _say(hello=pb.Hello(**(fields | changes)))


def _push(sequence: int, values: NDArray[np.float64], *, chunks: int = _CHUNKS, **end: Any) -> list[bytes]:
    raw = values.astype(FLOAT32).tobytes()
    starts = range(0, len(raw), _CHUNK)[:chunks]
    pieces = [pb.PushChunk(sequence=sequence, offset_bytes=start, data=raw[start : start + _CHUNK]) for start in starts]
    fields: dict[str, Any] = {
        "base_version": sequence - 1,
        "server_epoch": 1,
        "codec": job_pb2.CODEC_FLOAT32,
        "size_bytes": len(raw),
        "examples": 3,
        "loss": 1.5,
        "pull": True,
    }
    return [*(_say(push_chunk=piece) for piece in pieces), _say(push_end=pb.PushEnd(sequence=sequence, **(fields | end)))]


def _gradient(seed: int) -> NDArray[np.float64]:
    """Numbers that binary32 must round."""
    return np.sin(np.arange(_COUNT) + seed) / 3


def _turn(stream: int, *sends: bytes, hears: int = 0, ends: bool = False) -> Turn:
    return Turn(stream=stream, sends=sends, hears=[b""] * hears, ends=ends)


_PULL = _say(pull=pb.Pull())
_DONE = _say(goodbye=pb.Goodbye(done=True))
_VERSION = 1 + _CHUNKS  # an ack, and the parameters that it leads to


def _one_worker() -> Conversation:
    turns = [
        _turn(0, _hello(), hears=1),
        _turn(0, _say(heartbeat=pb.Heartbeat(number=1)), hears=1),
        _turn(0, _PULL, hears=_CHUNKS),
        _turn(0, _say(pull=pb.Pull(have_version=0)), hears=1),
        _turn(0, *_push(1, _gradient(1)), hears=_VERSION),
        _turn(0, *_push(2, _gradient(2), base_version=0), hears=1),
        _turn(0, *_push(3, _gradient(3), base_version=1, chunks=1), hears=1),
        _turn(0, *_push(3, _gradient(3), base_version=1, pull=False), hears=1),
        _turn(0, _say(pull=pb.Pull(have_version=1, at_least_version=2)), hears=_CHUNKS),
        _turn(0, *_push(4, _gradient(4), base_version=2), hears=_VERSION),
        _turn(0, _DONE, hears=1, ends=True),
    ]
    says = "one worker: pulls, pushes, a late gradient and half a gradient refused, and its goodbye"
    return Conversation(says=says, setting=Setting(steps=3, momentum=0.9, learning_rate=0.1), turns=turns)


def _two_workers() -> Conversation:
    turns = [
        _turn(0, _hello(0), hears=1),
        _turn(1, _hello(1, schema_digest=b"", max_chunk_bytes=20), hears=1),
        _turn(0, _PULL, hears=_CHUNKS),
        _turn(1, _PULL, hears=_SMALL_CHUNKS),
        _turn(0, *_push(1, _gradient(1), examples=1)),
        _turn(1, *_push(1, _gradient(2), examples=6), hears=1 + _SMALL_CHUNKS),
        _turn(0, hears=_VERSION),
        _turn(1, *_push(2, _gradient(3))),
        _turn(0, *_push(2, _gradient(4)), hears=_VERSION),
        _turn(1, hears=1 + _SMALL_CHUNKS),
        _turn(1, _DONE, hears=1, ends=True),
        _turn(0, _DONE, hears=1, ends=True),
    ]
    return Conversation(says="two workers at the barrier, one with smaller chunks", setting=Setting(workers=2), turns=turns)


def _at_the_door() -> Conversation:
    turned_away = [
        _PULL,
        _hello(token="guessed"),
        _hello(job_id="job-2"),
        _hello(worker_id="worker-9"),
        _hello(2),
        _hello(schema_digest=b"other"),
        b"",
    ]
    turns = [_turn(number, first, hears=1, ends=True) for number, first in enumerate(turned_away)]
    joined = len(turns)
    turns += [_turn(joined, _hello(), hears=1), _turn(joined + 1, _hello(), hears=1, ends=True)]
    return Conversation(says="who does not belong is refused at the door", setting=Setting(workers=2), turns=turns)


def _stopped() -> dict[str, Conversation]:
    """A member that breaks the rules is refused and stopped; each is a job of its own."""
    broken: dict[str, list[bytes]] = {
        "out-of-turn": [_say(push_chunk=pb.PushChunk(sequence=2, data=bytes(4)))],
        "end-out-of-turn": [_say(push_end=pb.PushEnd(sequence=2, server_epoch=1, examples=1))],
        "gap": [_say(push_chunk=pb.PushChunk(sequence=1, offset_bytes=8, data=bytes(4)))],
        "too-long": [_say(push_chunk=pb.PushChunk(sequence=1, data=bytes(84)))],
        "other-codec": _push(1, _gradient(1), codec=job_pb2.CODEC_FLOAT16),
        "other-epoch": _push(1, _gradient(1), server_epoch=2),
        "no-examples": _push(1, _gradient(1), examples=0),
        "not-finite": _push(1, np.full(_COUNT, np.nan)),
        "infinite-loss": _push(1, _gradient(1), loss=float("inf")),
        "second-hello": [_hello()],
        "not-negotiated": [_say(shared_memory=pb.SharedMemory(name="x"))],
        "empty-message": [b""],
        "version-that-never-comes": [_say(pull=pb.Pull(at_least_version=9))],
    }
    return {
        f"stopped-{name}": Conversation(
            says=f"a member is stopped: {name.replace('-', ' ')}",
            setting=Setting(),
            turns=[_turn(0, _hello(), hears=1), _turn(0, *said, hears=1, ends=True)],
        )
        for name, said in broken.items()
    }


def _leaving() -> Conversation:
    early = _say(goodbye=pb.Goodbye(reason="DATA_UNUSABLE", message="a column is missing"))
    turns = [
        _turn(0, _hello(0), hears=1),
        _turn(1, _hello(1), hears=1),
        _turn(0, *_push(1, _gradient(1))),
        _turn(1, early, hears=1, ends=True),
        _turn(0, hears=1, ends=True),
    ]
    says = "a worker leaves with a reason, which the one that waits at the barrier hears"
    return Conversation(says=says, setting=Setting(workers=2), turns=turns)


SCRIPTS: Mapping[str, Conversation] = {
    "one-worker": _one_worker(),
    "two-workers": _two_workers(),
    "at-the-door": _at_the_door(),
    "leaving": _leaving(),
    **_stopped(),
}
