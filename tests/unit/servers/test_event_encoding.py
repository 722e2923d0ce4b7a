"""An event on the wire is what protobuf writes, byte for byte, whichever events were written before it."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from synapsenet.adapters.kafka.cloud_events import header_writer
from synapsenet.clock import micros
from synapsenet.platform.events import Event
from synapsenet_api.platform.v1.event_pb2 import Event as Message
from synapsenet_servers.translate.events import event_encoder

NAMES = st.text(max_size=200)
NUMBERS = st.integers(0, 2**63 - 1)
INSTANTS = st.datetimes(timezones=st.just(UTC))
EVENTS = st.builds(
    Event,
    id=NAMES,
    aggregate=NAMES,
    sequence=NUMBERS,
    position=NUMBERS,
    type=NAMES,
    payload=st.one_of(st.text(), st.integers(0, 70_000).map("x".__mul__)).map(str.encode),
    occurred_at=st.one_of(INSTANTS, INSTANTS.map(lambda instant: instant.replace(microsecond=0))),
    trace=st.none(),
)


def plainly(area: str, event: Event) -> bytes:
    """`event` as protobuf writes it."""
    seconds, rest = divmod(micros(event.occurred_at), 1_000_000)
    message = Message(
        id=event.id,
        area=area,
        aggregate=event.aggregate,
        sequence=event.sequence,
        position=event.position,
        type=event.type,
        record_json=event.payload.decode(),
    )
    message.occur_time.seconds, message.occur_time.nanos = seconds, rest * 1_000
    return message.SerializeToString()


@given(NAMES, st.lists(EVENTS, min_size=1, max_size=5))
def test_a_value_is_what_protobuf_writes(area: str, events: list[Event]) -> None:
    encoded = event_encoder(area)
    assert [encoded(event) for event in events] == [plainly(area, event) for event in events]


@given(st.lists(EVENTS, min_size=1, max_size=5))
def test_the_time_in_the_headers_is_the_events_to_the_microsecond(events: list[Event]) -> None:
    headers = header_writer("area")
    for event in events:
        written = str(headers(event)["ce_time"])
        assert written == event.occurred_at.isoformat()
        assert datetime.fromisoformat(written) == event.occurred_at


@given(EVENTS)
def test_a_message_takes_the_trace_along_that_its_event_was_committed_in_and_none_if_there_was_none(event: Event) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = header_writer("area")
    assert headers(event._replace(trace=trace)) == {**headers(event), "traceparent": trace}
    assert "traceparent" not in headers(event)
