"""The table of states and rules, and what a table must satisfy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from synapsenet.errors import FailedPrecondition, InvalidArgument
from synapsenet.lifecycle.diagram import diagram
from synapsenet.lifecycle.guards import GUARDS, VersionFacts, check_guards
from synapsenet.lifecycle.machine import Rule, State, StateMachine
from synapsenet.lifecycle.sagas import SAGAS
from synapsenet.lifecycle.table import MACHINE, RULES, STATES

ORIGINAL = {
    "created": "archived,training,validating",
    "training": "archived,created,validating",
    "validating": "archived,registered",
    "registered": "archived,deploying,deprecated",
    "deploying": "registered,serving",
    "serving": "deprecated,registered",
    "deprecated": "archived,registered",
    "archived": "",
}


def made(states: tuple[State, ...] = STATES, rules: tuple[Rule, ...] = RULES) -> StateMachine:
    return StateMachine(states, rules, initial="created", guards=GUARDS, sagas=SAGAS)


def rule(source: str, target: str, **more: object) -> Rule:
    return Rule(**({"source": source, "event": "go", "target": target, "description": "Go."} | more))  # type: ignore[arg-type]  # any field


def refusal(states: tuple[State, ...] = STATES, rules: tuple[Rule, ...] = RULES) -> str:
    with pytest.raises(ValueError, match="the table of states does not hold") as refused:
        made(states, rules)
    return str(refused.value)


class TestTheTable:
    def test_it_has_the_eight_states(self) -> None:
        assert set(MACHINE.states) == set(ORIGINAL)

    @pytest.mark.parametrize("state", ORIGINAL)
    def test_contracts_that_know_states_alone_find_the_moves_that_they_always_had(self, state: str) -> None:
        assert ",".join(MACHINE.original_targets(state)) == ORIGINAL[state]

    def test_every_rule_can_be_found_by_its_event(self) -> None:
        for known in RULES:
            assert MACHINE.ending(known.source, known.event) is known

    def test_what_sagas_end_with_is_in_the_table_for_every_state_that_they_begin_in(self) -> None:
        for known in (one for one in RULES if one.saga):
            saga = SAGAS[known.saga]
            if saga.ends_with:
                assert MACHINE.ending(known.target, saga.ends_with).by_saga
            else:
                assert MACHINE.states[known.target].timeout is None

    def test_every_saga_belongs_to_a_rule(self) -> None:
        assert {known.saga for known in RULES if known.saga} == set(SAGAS)

    def test_a_state_and_a_rule_are_one_row_each_and_work_at_once(self) -> None:
        shadowing = State(name="shadowing", description="It sees traffic, and answers none.", legacy_name="registered")
        rows = (rule("registered", "shadowing", event="shadow"), rule("shadowing", "registered", event="unshadow"))
        machine = made((*STATES, shadowing), RULES + rows)
        assert machine.rule("registered", "shadow", title="digits:1").target == "shadowing"
        assert machine.allowed("shadowing") == ("unshadow",)
        assert machine.states["shadowing"].original == "registered"
        assert "registered --> shadowing: shadow" in diagram(machine)


class TestATableThatDoesNotHold:
    def test_a_state_that_cannot_be_reached(self) -> None:
        lonely = State(name="lonely", description="Nobody comes.")
        assert "lonely cannot be reached" in refusal((*STATES, lonely), (*RULES, rule("lonely", "registered")))

    def test_a_dead_end(self) -> None:
        pit = State(name="pit", description="Nobody leaves.")
        assert "nothing leaves pit" in refusal((*STATES, pit), (*RULES, rule("registered", "pit")))

    def test_a_state_that_only_leads_to_itself_is_a_dead_end(self) -> None:
        pit = State(name="pit", description="Nobody leaves.")
        assert "nothing leaves pit" in refusal((*STATES, pit), (*RULES, rule("registered", "pit"), rule("pit", "pit")))

    def test_a_final_state_with_a_way_out(self) -> None:
        assert "archived is final" in refusal(rules=(*RULES, rule("archived", "created")))

    def test_a_state_in_which_work_goes_on_without_a_failure_exit(self) -> None:
        rules = tuple(replace(one, is_failure=False) if one.event == "fail_deployment" else one for one in RULES)
        assert "work goes on in deploying, which needs one failure exit" in refusal(rules=rules)

    def test_a_failure_exit_without_a_timeout(self) -> None:
        states = tuple(replace(one, timeout=None) if one.name == "deploying" else one for one in STATES)
        assert "deploying has a failure exit, so it needs a timeout" in refusal(states)

    def test_two_rules_for_one_event(self) -> None:
        assert "an event has two rules" in refusal(rules=(*RULES, rule("created", "archived", event="train")))

    @pytest.mark.parametrize(
        ("target", "more", "says"),
        [
            ("nowhere", {}, "there is no state nowhere"),
            ("created", {"guards": ("luck",)}, "there is no guard luck"),
            ("created", {"saga": "edda"}, "there is no saga edda"),
        ],
    )
    def test_a_rule_that_names_what_is_not_there(self, target: str, more: dict[str, object], says: str) -> None:
        assert says in refusal(rules=(*RULES, rule("registered", target, **more)))

    def test_a_stand_in_that_is_no_original_state(self) -> None:
        odd = State(name="odd", description="Odd.", timeout=timedelta(1), legacy_name="odder")
        ways = (rule("registered", "odd"), rule("odd", "registered", is_failure=True))
        assert "odder is no original state" in refusal((*STATES, odd), RULES + ways)

    def test_all_faults_are_told_at_once(self) -> None:
        told = refusal(rules=(*RULES, rule("registered", "nowhere"), rule("archived", "created", event="rise")))
        assert "nowhere" in told
        assert "archived is final" in told


def test_without_an_operation_nobody_carries_on_what_sagas_alone_lead_to() -> None:
    assert MACHINE.carried == {"deploying"}
    ways_in = tuple(replace(one, saga="") if one.event == "roll_back" else one for one in RULES)
    assert StateMachine(STATES, ways_in, initial="created", guards=GUARDS, sagas=SAGAS).carried == frozenset()


class TestAnEvent:
    def test_that_is_not_allowed_is_refused_with_those_that_are(self) -> None:
        with pytest.raises(FailedPrecondition) as refused:
            MACHINE.rule("archived", "deploy", title="digits:3")
        assert refused.value.reason == "TRANSITION_NOT_ALLOWED"
        assert refused.value.public == "version digits:3 is archived, where deploy cannot happen: create a new version"
        with pytest.raises(FailedPrecondition) as refused:
            MACHINE.rule("registered", "train", title="digits:3")
        assert refused.value.metadata == {
            "state": "registered",
            "event": "train",
            "allowed": "archive,deploy,deprecate,roll_back",
            "targets": "archived,deploying,deprecated",
        }

    def test_that_nobody_knows_is_refused_with_all_that_there_are(self) -> None:
        with pytest.raises(InvalidArgument) as refused:
            MACHINE.rule("created", "explode", title="digits:3")
        assert refused.value.reason == "EVENT_UNKNOWN"
        assert "archive" in refused.value.remedy

    def test_that_is_a_sagas_own_end_cannot_be_asked_for(self) -> None:
        with pytest.raises(InvalidArgument):
            MACHINE.rule("deploying", "begin_serving", title="digits:3")
        assert "retire" not in MACHINE.events


class TestGuards:
    facts = VersionFacts(model_id="mdl-1", model_name="digits", version=3, state="registered")

    def test_a_version_without_an_artifact_is_not_deployed(self) -> None:
        deploy = MACHINE.rule("registered", "deploy", title="digits:3")
        with pytest.raises(FailedPrecondition, match="digits:3 has no artifact and cannot become deploying"):
            check_guards(deploy, self.facts)
        check_guards(deploy, replace(self.facts, artifact_sha256="ab" * 32))

    def test_a_version_with_an_alias_is_not_archived(self) -> None:
        archive = MACHINE.rule("registered", "archive", title="digits:3")
        with pytest.raises(FailedPrecondition, match="while champion, stable points to it"):
            check_guards(archive, replace(self.facts, aliases=("champion", "stable")))
        check_guards(archive, self.facts)
