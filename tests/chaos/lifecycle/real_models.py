"""A real model on a live platform, in several versions, and the history that the platform tells of it."""

from __future__ import annotations

from synapsenet.lifecycle.audit import Entry
from synapsenet.testing.onnx_models import exact_model
from synapsenet_client import Client
from synapsenet_servers.commands.torture.auditing import entry
from tests.chaos.served_model import NAME


def another(client: Client) -> int:
    """One more version of the served model, registered."""
    model_id = client.registry.get_version(NAME, 1).model_id
    version = int(client.registry.create_version(model_id).version)
    client.registry.upload(model_id, version, exact_model(), format="ONNX")
    client.registry.set_state(model_id, version, "REGISTERED")
    return version


def watched(client: Client) -> list[Entry]:
    """Every event, up to the newest that the served model's history tells of."""
    newest = max(moved.sequence for moved in client.lifecycle.list_transitions(NAME))
    entries = []
    with client.lifecycle.watch_events() as events:
        for event in events:
            entries.append(entry(event))
            if event.sequence >= newest:
                break
    return entries
