"""What the lifecycle coordinator promises and does not do yet: all of it."""

from __future__ import annotations

from synapsenet_servers.not_yet_available.row import Row

_COORDINATOR = "/synapsenet.lifecycle.v1.LifecycleService"
_CONTROL = "/synapsenet.lifecycle.v1.LifecycleControlService"
_PARTICIPANT = "/synapsenet.lifecycle.v1.ParticipantControlService"

ROWS: tuple[Row, ...] = (
    Row(
        method=f"{_COORDINATOR}/TransitionVersion",
        brings="until then set a version's state with RegistryService.SetVersionState",
    ),
    Row(method=f"{_COORDINATOR}/ValidateVersion", brings="until then an artifact is checked when it is uploaded"),
    Row(method=f"{_COORDINATOR}/GetValidationReport", brings="what a validation measured will be kept"),
    Row(method=f"{_COORDINATOR}/DeployVersion", brings="until then deploy with InferenceService.DeployModel"),
    Row(method=f"{_COORDINATOR}/UndeployVersion", brings="until then undeploy with InferenceService.UndeployModel"),
    Row(method=f"{_COORDINATOR}/RollBackModel", brings="until then deploy the earlier version again"),
    Row(method=f"{_COORDINATOR}/PromoteVersion", brings="traffic will be shared between versions by weights"),
    Row(
        method=f"{_COORDINATOR}/ArchiveVersion", brings="until then set the state archived with RegistryService.SetVersionState"
    ),
    Row(method=f"{_COORDINATOR}/GetVersionStatus", brings="until then read a version's state with RegistryService.GetVersion"),
    Row(method=f"{_COORDINATOR}/ListTransitions", brings="the history of every version will be kept and paged"),
    Row(method=f"{_COORDINATOR}/GetOperation", brings="long work on a version will be an operation"),
    Row(method=f"{_COORDINATOR}/ListOperations", brings="long work on a version will be an operation"),
    Row(method=f"{_COORDINATOR}/WatchOperation", brings="an operation's steps will be shown as they happen"),
    Row(method=f"{_COORDINATOR}/WaitOperation", brings="a caller will be able to wait for the end of an operation"),
    Row(method=f"{_COORDINATOR}/CancelOperation", brings="an operation will be undone when it is cancelled"),
    Row(method=f"{_COORDINATOR}/RetryCompensation", brings="a compensation that keeps failing will be retried on demand"),
    Row(method=f"{_COORDINATOR}/ResolveOperation", brings="an operator will be able to settle a failing compensation"),
    Row(method=f"{_COORDINATOR}/GetStateMachine", brings="states, rules and sagas will come as data and as a diagram"),
    Row(method=f"{_COORDINATOR}/WatchEvents", brings="every transition and step will be an event"),
    Row(method=f"{_CONTROL}/ReportCondition", brings="services will report what is wrong with a version"),
    Row(method=f"{_PARTICIPANT}/PrepareStep", brings="services will take part in sagas"),
    Row(method=f"{_PARTICIPANT}/ExecuteStep", brings="services will take part in sagas"),
    Row(method=f"{_PARTICIPANT}/CompensateStep", brings="services will take part in sagas"),
)
