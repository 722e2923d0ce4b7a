"""Whole conversations on the training stream, byte for byte: what workers say that offer nothing newer, and what they hear."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from synapsenet.training.schema import FLOAT32
from synapsenet_api.training.v1 import parameter_stream_pb2 as pb
from tests.golden.files import read_json, write_json
from tests.golden.parameter_server import Setting, Stream, serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one stream carries before it is another one's turn.

    Attributes:
        stream: which one, from 0; each is opened at its first turn.
        sends: messages to the server.
        hears: messages from it, so many are waited for.
        ends: whether the server ends the stream after them.
    """

    stream: int
    sends: Sequence[bytes] = ()
    hears: Sequence[bytes] = ()
    ends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The turns of one job's streams; initial parameters are 0, 1, 2, …"""

    says: str
    setting: Setting
    turns: Sequence[Turn]


def talk(setting: Setting, turns: Sequence[Turn]) -> list[Turn]:
    """The turns as they go with a real server today."""
    streams: dict[int, Stream] = {}
    gone: list[Turn] = []
    parameters = np.arange(setting.schema.count, dtype=FLOAT32)
    with serving(setting, parameters) as channel, ExitStack() as stack:
        for turn in turns:
            if turn.stream not in streams:
                streams[turn.stream] = Stream(channel)
                stack.callback(streams[turn.stream].close)
            gone.append(_take(streams[turn.stream], turn))
    return gone


def write_conversation(path: Path, conversation: Conversation) -> None:
    """Each message as its kind, for people, and its bytes in hexadecimal."""
    turns = [
        {
            "stream": turn.stream,
            "sends": [[_kind(pb.TrainRequest, message), message.hex()] for message in turn.sends],
            "hears": [[_kind(pb.TrainResponse, message), message.hex()] for message in turn.hears],
            "ends": turn.ends,
        }
        for turn in conversation.turns
    ]
    write_json(path, {"says": conversation.says, "setting": asdict(conversation.setting), "turns": turns})


def read_conversation(path: Path) -> Conversation:
    content = read_json(path)
    turns = [
        Turn(
            stream=turn["stream"],
            sends=[bytes.fromhex(message) for _, message in turn["sends"]],
            hears=[bytes.fromhex(message) for _, message in turn["hears"]],
            ends=turn["ends"],
        )
        for turn in content["turns"]
    ]
    return Conversation(says=content["says"], setting=Setting(**content["setting"]), turns=turns)


def _take(stream: Stream, turn: Turn) -> Turn:
    for message in turn.sends:
        stream.say(message)
    heard: list[bytes] = []
    ended = False
    try:
        while not ended and (len(heard) < len(turn.hears) or turn.ends):
            answer = stream.hear()
            ended = answer is None
            heard += [] if answer is None else [answer]
    except grpc.RpcError:
        ended = False  # broken off, or silent: the turn then shows fewer messages and no end
    return Turn(stream=turn.stream, sends=turn.sends, hears=heard, ends=ended)


def _kind(message: Any, raw: bytes) -> str:
    return message.FromString(raw).WhichOneof("message") or "nothing"
