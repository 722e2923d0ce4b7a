"""No area but the lifecycle knows which state follows on which: there is no table of states, and no question about one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from synapsenet.lifecycle.guards import GUARDS
from synapsenet.lifecycle.machine import Rule, State, StateMachine
from synapsenet.lifecycle.sagas import SAGAS
from synapsenet.lifecycle.table import MACHINE, RULES
from synapsenet.lifecycle.table import STATES as STATE_ROWS
from synapsenet_api.registry.v1 import version_pb2
from synapsenet_servers.peers.inference import deployable
from synapsenet_servers.translate.lifecycle_machine import state_machine
from tools.house import ROOT, Source, nodes

STATES = frozenset(MACHINE.states)
AREAS = ("models", "registry", "inference", "training")

# Behind and before the areas: who translates, serves and asks others for them. The coordinator's own are left out.
EDGES = ("servicers", "translate", "peers")
OWN = ("lifecycle", "lifecycle_control", "lifecycle_machine", "lifecycle_operations")
WIRE = "VERSION_STATE_"

# A version begins somewhere: its coordinator takes it from there.
BEGINNING = ("synapsenet/registry/model.py", "CREATED")

# Who writes down where a version is: its creation, and what its coordinator says.
WRITERS = ("synapsenet/registry/model.py", "synapsenet/registry/standing.py")


def sources(*areas: str) -> list[Source]:
    paths = [path for area in areas for path in sorted((ROOT / "synapsenet" / area).rglob("*.py"))]
    return [Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in paths]


def edges() -> list[Source]:
    """What stands between the areas and the wire."""
    servers = ROOT / "servers"
    paths = [path for edge in EDGES for path in sorted((servers / "synapsenet_servers" / edge).rglob("*.py"))]
    kept = [path for path in paths if path.stem not in OWN]
    return [Source(path.relative_to(servers).as_posix(), path.read_text("utf-8")) for path in kept]


def decisions(source: Source) -> Iterator[str]:
    """Where `source` names a state of a version's life other than to say that there is such a state."""
    enums = {id(part) for node in nodes(source) if is_enum(node) for part in ast.walk(node)}
    for node in nodes(source):
        if isinstance(node, ast.Attribute):
            if is_state(node) and (source.path, node.attr) != BEGINNING:
                yield f"{source.path}:{node.lineno}: {node.attr}"
        elif isinstance(node, ast.Compare | ast.Set | ast.Dict | ast.Tuple | ast.List):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and part.value in STATES and id(part) not in enums:
                    yield f"{source.path}:{part.lineno}: {part.value!r} among others"


def writings(source: Source) -> Iterator[str]:
    """Where `source` gives something a state."""
    for node in nodes(source):
        if isinstance(node, ast.Call) and any(keyword.arg == "state" for keyword in node.keywords):
            yield f"{source.path}:{node.lineno}"


def is_state(node: ast.Attribute) -> bool:
    """Whether it is a member of the registry's enumeration of states, its own or the wire's."""
    of_own = isinstance(node.value, ast.Name) and node.value.id == "State" and node.attr.lower() in STATES
    return of_own or (node.attr.startswith(WIRE) and node.attr.removeprefix(WIRE).lower() in STATES)


def is_enum(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and any(isinstance(base, ast.Name) and "Enum" in base.id for base in node.bases)


def test_no_area_but_the_lifecycle_asks_which_state_a_version_has() -> None:
    assert [found for source in sources(*AREAS) for found in decisions(source)] == []


def test_nothing_between_the_areas_and_the_wire_asks_either() -> None:
    assert len(edges()) > 50
    assert [found for source in edges() for found in decisions(source)] == []


def test_the_versions_that_may_be_loaded_by_their_models_name_come_from_the_table() -> None:
    shown = deployable(state_machine(MACHINE, SAGAS))
    assert [version_pb2.VersionState.Name(state) for state in shown] == [
        f"{WIRE}REGISTERED",
        f"{WIRE}DEPLOYING",
        f"{WIRE}SERVING",
    ]
    canary = State(name="canary", description="It is tried.", legacy_name="deprecated")
    tried = Rule(source="registered", event="try", target="canary", description="Try it.")
    enters = Rule(source="canary", event="deploy", target="deploying", saga="deploy", description="It was good.")
    more = StateMachine([*STATE_ROWS, canary], [*RULES, tried, enters], initial="created", guards=GUARDS, sagas=SAGAS)
    assert version_pb2.VERSION_STATE_DEPRECATED in deployable(state_machine(more, SAGAS))


def test_only_what_the_coordinator_says_writes_a_versions_state() -> None:
    writing = {found.partition(":")[0] for source in sources("models", "registry") for found in writings(source)}
    assert writing == set(WRITERS)


@pytest.mark.parametrize(
    "text",
    [
        "if version.state is State.SERVING: ...",
        "ACCEPTING = frozenset({State.CREATED, State.TRAINING})",
        "NEXT = {'registered': ('deploying', 'archived')}",
        "if status.state == 'validating': ...",
        "if status.state in ('deploying', 'serving'): ...",
        "request.states.append(version_pb2.VERSION_STATE_REGISTERED)",
    ],
)
def test_a_planted_decision_is_found(text: str) -> None:
    assert list(decisions(Source("synapsenet/registry/planted.py", text)))


@pytest.mark.parametrize(
    "text",
    [
        "class State(StrEnum):\n    SERVING = 'serving'",
        "moved = standing.state is not version.state",
        "if deployment.state is DeploymentState.SERVING: ...",
        "raise Refusal('only what serves is serving')",
    ],
)
def test_what_decides_nothing_is_left_alone(text: str) -> None:
    assert not list(decisions(Source("synapsenet/inference/planted.py", text)))


def test_the_beginning_is_where_the_machine_begins() -> None:
    assert MACHINE.initial == BEGINNING[1].lower()
    assert Path(ROOT / BEGINNING[0]).is_file()
