"""One idempotent producer and what becomes of the messages that it is given: every call belongs to the sink's thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from synapsenet.adapters.kafka.cloud_events import Headers
from synapsenet.adapters.kafka.options import KafkaOptions
from synapsenet.adapters.kafka.refusals import is_refusal
from synapsenet.platform.events import Event

_library = logging.getLogger("librdkafka")

_SLICE_S = 0.2  # so often a waiting thread looks whether it was told to stop
_PURGED_S = 2.0
_ANY_PARTITION = -1
_NOW = 0


@dataclass(slots=True)
class Attempt:
    """What became of some events; those that are not named were acknowledged.

    Attributes:
        refused: event id to the error's code and name.
        certain: ids of refused ones that were never sent, so that no company of theirs can be to blame.
        unsettled: ids of events that may or may not have arrived.
        away: the last error of the connection, if there are unsettled ones because of it.
        reports: value and error of each message that was not delivered; a callback for each event would cost more than that.
    """

    refused: dict[str, KafkaError] = field(default_factory=dict)
    certain: set[str] = field(default_factory=set)
    unsettled: set[str] = field(default_factory=set)
    away: str = ""
    reports: list[tuple[bytes | None, KafkaError]] = field(default_factory=list)

    def report(self, error: KafkaError | None, message: Message) -> None:
        """Take a delivery report; of what was delivered there is none."""
        if error is not None:
            self.reports.append((message.value(), error))

    def settle(self, events: Mapping[bytes, Event]) -> None:
        """Note what the reports say of `events`, which are named by their messages' values."""
        for value, error in self.reports:
            self.blame(events[value or b""], error)

    def blame(self, event: Event, error: KafkaError) -> None:
        """Note that `event` was not delivered."""
        if is_refusal(error.code()):
            self.refused[event.id] = error
        else:
            self.unsettled.add(event.id)

    def hold_back(self, events: Sequence[Event]) -> None:
        """Call what stands behind an aggregate's first failure unsettled: nobody knows yet whether it would be refused."""
        if not self.refused and not self.unsettled:
            return
        failed: set[str] = set()
        for event in events:
            if event.id in self.refused and event.aggregate in failed:
                del self.refused[event.id]
                self.certain.discard(event.id)
                self.unsettled.add(event.id)
            if event.id in self.refused or event.id in self.unsettled:
                failed.add(event.aggregate)


class Connection:
    """A producer until something goes wrong with it; then the next attempt needs another."""

    def __init__(
        self,
        options: KafkaOptions,
        *,
        topic: str,
        headers: Callable[[Event], Headers],
        value: Callable[[Event], bytes],
        stopped: threading.Event,
    ) -> None:
        self._topic = topic
        self._headers = headers
        self._value = value
        self._stopped = stopped
        self._patience = options.delivery_timeout_s
        self._errors: deque[str] = deque(maxlen=1)
        self.is_sound = True
        noted = self._errors  # a callback that knew this object would keep the producer, and its connections, after it
        told = {"error_cb": lambda error: noted.append(error.str()), "logger": _library}
        settings: dict[str, Any] = {**options.producer(), **told}
        self._producer = confluent_kafka.Producer(settings)

    def publish(self, events: Sequence[Event], handed_over: Callable[[], object] | None = None) -> Attempt:
        """Send `events` in their order and wait for the brokers' word on each, after a call of `handed_over`."""
        attempt = Attempt()
        end = time.monotonic() + self._patience
        self._produce(events, attempt, end)
        if handed_over is not None:
            handed_over()
        is_fatal = not self._await_reports(end)
        if len(self._producer):
            if not is_fatal:
                attempt.away = self._last_error or f"no acknowledgement within {self._patience:g} s"
            self.close()
        if attempt.reports:
            attempt.settle({self._value(event): event for event in events})
        if attempt.unsettled or len(attempt.refused) > len(attempt.certain):
            self.is_sound = False
        if attempt.unsettled and not attempt.refused:
            attempt.away = attempt.away or self._last_error or "the producer gave up"
        attempt.hold_back(events)
        return attempt

    def close(self) -> None:
        """Give up what was not sent."""
        self.is_sound = False
        end = time.monotonic() + _PURGED_S
        while len(self._producer) and time.monotonic() < end:
            self._producer.purge()
            self._serve(_SLICE_S)

    def _produce(self, events: Sequence[Event], attempt: Attempt, end: float) -> None:
        produce, topic, report = self._producer.produce, self._topic, attempt.report
        held: set[str] = set()
        for number, event in enumerate(events):
            if held and event.aggregate in held:
                attempt.unsettled.add(event.id)
                continue
            try:
                value, headers = self._value(event), self._headers(event)
                while True:
                    try:
                        produce(topic, value, event.aggregate, _ANY_PARTITION, report, None, _NOW, headers)  # names cost 0.5 µs
                        break
                    except BufferError:
                        self._serve(_SLICE_S)
                        if self._stopped.is_set() or time.monotonic() > end:
                            attempt.unsettled.update(left.id for left in events[number:])
                            return
            except KafkaException as refusal:
                error = refusal.args[0]
                attempt.blame(event, error)
                if event.id not in attempt.refused:
                    attempt.away = error.str()
                    attempt.unsettled.update(left.id for left in events[number:])
                    return
                attempt.certain.add(event.id)
                held.add(event.aggregate)

    def _await_reports(self, end: float) -> bool:
        """Wait until all is told or the time is over; False if the producer is beyond work."""
        while len(self._producer) and not self._stopped.is_set() and (left := end - time.monotonic()) > 0:
            if not self._serve(min(left, _SLICE_S), flush=True):
                return False
        return True

    def _serve(self, seconds: float, *, flush: bool = False) -> bool:
        """Take reports for so long; False if the producer is beyond work."""
        try:
            if flush:
                self._producer.flush(seconds)
            else:
                self._producer.poll(seconds)
        except KafkaException as fatal:
            if not self._errors:
                self._errors.append(fatal.args[0].str())
            return False
        return True

    @property
    def _last_error(self) -> str:
        return self._errors[-1] if self._errors else ""
