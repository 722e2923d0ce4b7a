"""A Kafka topic as the sink of an area's events."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from synapsenet.adapters.kafka.cloud_events import header_writer
from synapsenet.adapters.kafka.options import KafkaOptions
from synapsenet.adapters.kafka.producer import Attempt, Connection
from synapsenet.adapters.kafka.refusals import is_of_topic
from synapsenet.adapters.kafka.security_files import SecurityFiles
from synapsenet.errors import FailedPrecondition
from synapsenet.platform.events import Event
from synapsenet.platform.sink import EventSink, Receipt

_log = logging.getLogger(__name__)

_TOPIC_S = 3.0
_AWAY = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)


class KafkaSink(EventSink):
    """Publishes one area's events to its topic, from a thread of its own."""

    def __init__(self, options: KafkaOptions, *, area: str, encode: Callable[[Event], bytes]) -> None:
        self._options = options
        self._topic = options.topic_of(area)
        self._headers = header_writer(area)
        self._encode = encode
        self._connection: Connection | None = None
        self._files = SecurityFiles(list(options.security.files().values()))
        self._told = False
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-{area}")

    @property
    def settings(self) -> dict[str, Any]:
        """What its producers are configured with."""
        return self._options.producer()

    async def publish(self, events: Sequence[Event], *, handed_over: Callable[[], object] | None = None) -> Receipt:
        loop = asyncio.get_running_loop()
        tell = None if handed_over is None else partial(loop.call_soon_threadsafe, handed_over)
        publishing = loop.run_in_executor(self._thread, self._publish, events, tell)
        try:
            return await asyncio.shield(publishing)
        except asyncio.CancelledError:
            self._stopped.set()
            await asyncio.wait({publishing})
            self._stopped.clear()
            raise

    def close(self) -> None:
        """Give up what is under way, and the connection."""
        self._stopped.set()
        self._thread.submit(self._discard)
        self._thread.shutdown()

    def _publish(self, events: Sequence[Event], handed_over: Callable[[], object] | None) -> Receipt:
        attempt = self._attempt(events, handed_over)
        if len(events) > 1 and len(attempt.refused) > len(attempt.certain):
            self._try_alone(events, attempt)
        reasons = {event_id: error.name() for event_id, error in attempt.refused.items()}
        return Receipt(refused=reasons, unsettled=attempt.unsettled, away=attempt.away and f"{self._topic}: {attempt.away}")

    def _try_alone(self, events: Sequence[Event], together: Attempt) -> None:
        """A batch is refused as a whole: find out by themselves which of its events are to blame."""
        for_all: set[int] = set()
        for event in events:
            if event.id not in together.refused or event.id in together.certain:
                continue
            code = together.refused[event.id].code()
            if code in for_all or together.away:
                continue
            alone = self._attempt([event])
            if event.id in alone.refused:
                if is_of_topic(code):
                    for_all.add(code)
                continue
            del together.refused[event.id]
            if event.id in alone.unsettled:
                together.unsettled.add(event.id)
                together.away = alone.away

    def _attempt(self, events: Sequence[Event], handed_over: Callable[[], object] | None = None) -> Attempt:
        have_changed = self._files.have_changed()
        if self._connection is None or not self._connection.is_sound:
            self._discard()
            self._connection = self._connect()
        elif have_changed:
            self._connection = self._renewed(self._connection)
        return self._connection.publish(events, handed_over)

    def _renewed(self, connection: Connection) -> Connection:
        """One with the files that stand there now, or `connection`, which is idle, while these do not fit together."""
        try:
            fresh = self._connect()
        except FailedPrecondition as error:
            _log.warning("the new files of kafka.security are not used, the old connection stays: %s", error.secret)
            return connection
        _log.warning("the connection of %s is made anew with the files of kafka.security that were replaced", self._topic)
        connection.close()
        return fresh

    def _connect(self) -> Connection:
        try:
            self._make_topic(AdminClient({**self._options.client(), "log_level": 2}))
            return Connection(
                self._options, topic=self._topic, headers=self._headers, value=self._encode, stopped=self._stopped
            )
        except KafkaException as error:
            raise FailedPrecondition(
                "KAFKA_SETTINGS_UNUSABLE",
                "the brokers cannot be dialled as [kafka] says",
                remedy="check kafka.security and the files that it names",
                secret=str(error),
            ) from error

    def _discard(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _make_topic(self, client: AdminClient) -> None:
        """Make the topic, unless it is there; whoever may not make it may still write to it."""
        try:
            if self._topic in client.list_topics(timeout=_TOPIC_S).topics:
                return
            topic = NewTopic(self._topic, self._options.partitions, self._options.replicas)
            client.create_topics([topic], request_timeout=_TOPIC_S)[self._topic].result(_TOPIC_S)
        except (KafkaException, TimeoutError) as error:
            cause = error.args[0] if isinstance(error, KafkaException) else None
            if cause is None or cause.retriable() or cause.code() in _AWAY or cause.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return  # that brokers are away is for the producer to find
            if not self._told:
                _log.warning("the topic %s is not made here: %s", self._topic, cause.str())
                self._told = True


@asynccontextmanager
async def open_kafka_sink(options: KafkaOptions, *, area: str, encode: Callable[[Event], bytes]) -> AsyncIterator[KafkaSink]:
    """The topic of `area` inside an `async with`.

    Args:
        encode: the value of an event's message.
    """
    sink = KafkaSink(options, area=area, encode=encode)
    try:
        yield sink
    finally:
        await asyncio.to_thread(sink.close)
