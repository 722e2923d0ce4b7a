"""librdkafka's mock cluster in a child process: brokers that answer with the errors which a test wants.

librdkafka exports the mock's controls, its Python binding does not: the child calls them in the library that the binding
carries. Run as a program, this module is that child; it obeys one command a line on stdin.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

BROKERS = 3
PRODUCE = 0  # the number of the Produce request in Kafka's protocol
DEADLINE_S = 10.0
ROOT = Path(__file__).resolve().parents[1]


class KafkaMock:
    """The mock cluster while it runs.

    Attributes:
        address: bootstrap servers for clients.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._answer()

    def create_topic(self, name: str, *, partitions: int) -> None:
        self._tell("topic", name, str(partitions))

    def fail_next(self, *codes: int) -> None:
        """Answer the next Produce requests with these error codes of the protocol, one each; 0 is success."""
        self._tell("fail", *map(str, codes))

    def fail_no_more(self) -> None:
        """Forget what is left of `fail_next`."""
        self._tell("fail_no_more")

    def set_topic_error(self, name: str, code: int) -> None:
        """Answer everything about topic `name` with this error; 0 ends it."""
        self._tell("topic_error", name, str(code))

    def set_down(self, is_down: bool) -> None:
        """Take every broker away, or bring them back."""
        self._tell("down" if is_down else "up")

    def _tell(self, *words: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        assert answer == "0", f"{words}: {answer}"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the mock cluster ended"
        return line


@contextmanager
def kafka_mock() -> Iterator[KafkaMock]:
    """A mock cluster inside a `with`."""
    command = [sys.executable, "-m", "tests.kafka_mock"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as process:
        try:
            yield KafkaMock(process)
        finally:
            process.kill()
            process.wait(DEADLINE_S)


def library() -> ctypes.CDLL:
    """The librdkafka that confluent-kafka brings along."""
    files = importlib.metadata.files("confluent-kafka") or ()
    (path,) = (file for file in files if file.name.startswith("librdkafka") and ".so" in file.name)
    return ctypes.CDLL(str(path.locate()))


class Cluster:
    """The mock cluster inside its process."""

    def __init__(self, rdkafka: Any) -> None:
        self._rdkafka = rdkafka
        for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(rdkafka, name).restype = ctypes.c_void_p
        rdkafka.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        error = ctypes.create_string_buffer(512)
        conf = ctypes.c_void_p(rdkafka.rd_kafka_conf_new())
        self._client = ctypes.c_void_p(rdkafka.rd_kafka_new(0, conf, error, ctypes.c_size_t(len(error))))
        self._mock = ctypes.c_void_p(rdkafka.rd_kafka_mock_cluster_new(self._client, BROKERS))

    @property
    def address(self) -> str:
        return str(self._rdkafka.rd_kafka_mock_cluster_bootstraps(self._mock).decode())

    def obey(self, command: str, arguments: Sequence[str]) -> int:
        """Carry one command out; 0, or librdkafka's error."""
        rdkafka, mock = self._rdkafka, self._mock
        if command == "topic":
            return int(rdkafka.rd_kafka_mock_topic_create(mock, arguments[0].encode(), int(arguments[1]), 1))
        if command == "topic_error":
            rdkafka.rd_kafka_mock_topic_set_error(mock, arguments[0].encode(), int(arguments[1]))
            return 0
        if command == "fail":
            codes = (ctypes.c_int * len(arguments))(*map(int, arguments))
            rdkafka.rd_kafka_mock_push_request_errors_array(mock, ctypes.c_int16(PRODUCE), ctypes.c_size_t(len(codes)), codes)
            return 0
        if command == "fail_no_more":
            rdkafka.rd_kafka_mock_clear_request_errors(mock, ctypes.c_int16(PRODUCE))
            return 0
        switch = rdkafka.rd_kafka_mock_broker_set_down if command == "down" else rdkafka.rd_kafka_mock_broker_set_up
        return max(int(switch(mock, ctypes.c_int32(broker))) for broker in range(1, BROKERS + 1))


def serve(commands: IO[str], answers: IO[str]) -> None:
    """Tell where the cluster is, then obey until stdin ends."""
    cluster = Cluster(library())
    print(cluster.address, file=answers, flush=True)
    for line in commands:
        command, *arguments = line.split()
        print(cluster.obey(command, arguments), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
