"""Which of the brokers' errors mean that an event will never be taken as it is."""

from __future__ import annotations

from confluent_kafka import KafkaError

_OF_THE_MESSAGE = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_MSG_SIZE,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.INVALID_RECORD,
    KafkaError.POLICY_VIOLATION,
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    KafkaError._INVALID_ARG,
}
_OF_THE_TOPIC = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.INVALID_REQUIRED_ACKS,
}


def is_refusal(code: int) -> bool:
    """Whether a later attempt with the same message would meet the same error, unless an operator does something."""
    return code in _OF_THE_MESSAGE or code in _OF_THE_TOPIC


def is_of_topic(code: int) -> bool:
    """Whether every message to the topic meets it."""
    return code in _OF_THE_TOPIC
