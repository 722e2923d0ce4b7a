"""Print what happens in the lives of model versions, as it arrives from Kafka.

    python lifecycle_events.py --brokers kafka-1:9092 --group my-dashboard

Needs `confluent-kafka` and the SDK. The group remembers how far it came; a new one begins with the oldest event that is kept.
Duplicates, which a relay that died may leave, are known by the model's own count and dropped.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from confluent_kafka import Consumer

from synapsenet_api.platform.v1.event_pb2 import Event

TOPIC = "synapsenet.lifecycle.events"


class Counts:
    """The last sequence of each model; who derives something from the events keeps it in the same transaction."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def missing(self, event: Event) -> int | None:
        """How many events of its model are missing before it; None: it is a duplicate."""
        last = self._last.get(event.aggregate)
        if last is not None and event.sequence <= last:
            return None
        self._last[event.aggregate] = event.sequence
        return 0 if last is None else event.sequence - last - 1


def sentence(kind: str, record: Any) -> str:
    """What happened, from an event's record; fields are only ever added to it."""
    if kind == "VersionTransitioned":
        status, caller = record["status"], record["caller"]
        by = f" by {caller['actor']}" if caller.get("actor") else ""
        why = f": {caller['reason']}" if caller.get("reason") else ""
        name = f"{status['model_name']}:{status['version']}"
        return f"{name} {record['source'] or '·'} → {status['state']} ({record['event']}){by}{why}"
    if kind == "StepChanged":
        return f"version {record['version']} {record['step']['name']} {record['step']['state']} ({record['operation_id']})"
    if kind == "OperationChanged":
        operation = record["operation"]
        name = f"{operation['model_name']}:{operation['version']}"
        failure = operation.get("failure")
        why = f": {failure['message']}" if failure else ""
        return f"{operation['saga']} of {name} {operation['state']} ({operation['id']}){why}"
    if kind == "ConditionChanged":
        status = record["status"]
        wrong = [condition["message"] for condition in status.get("conditions", {}).values()]
        return f"{status['model_name']}:{status['version']} {', '.join(wrong) or 'is well'}"
    return kind  # of a newer release


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--brokers", required=True, help="host:port, …")
    arguments.add_argument("--group", default="lifecycle-events", help="who remembers how far it came")
    arguments.add_argument("--topic", default=TOPIC)
    given = arguments.parse_args()
    consumer = Consumer(
        {
            "bootstrap.servers": given.brokers,
            "group.id": given.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([given.topic])
    counts = Counts()
    try:
        while True:
            message = consumer.poll(1.0)
            if message is None or message.error():
                continue
            event = Event.FromString(message.value() or b"")
            missing = counts.missing(event)
            if missing is not None:
                gap = f" ({missing} before it are missing)" if missing else ""
                told = sentence(event.type, json.loads(event.record_json))
                sys.stdout.write(f"{event.aggregate} #{event.sequence}{gap} {told}\n")
                sys.stdout.flush()
            consumer.commit(message, asynchronous=False)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
