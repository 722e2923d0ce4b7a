"""Every error that SynapseNet reports to a caller.

    SynapseError
    ├── InvalidArgument       the request itself is wrong, whatever the state of the platform
    ├── Unimplemented         there is no such method here
    │   └── NotYetAvailable   the RPC or option is in the contract, its behaviour comes with a later release
    ├── NotFound              something that the request names does not exist
    ├── AlreadyExists         the name, or the request id with another body, is taken
    ├── FailedPrecondition    the platform is not in the state that the request needs
    ├── Aborted               a concurrent writer won; read again and retry
    ├── OutOfRange            a position or page past what is retained
    ├── Unauthenticated       who is calling could not be established
    ├── PermissionDenied      the caller is known and may not do this
    ├── ResourceExhausted     a bound was reached; `retry_after` says when to come back
    ├── DeadlineExceeded      the work did not end in the time that the caller gave
    ├── Cancelled             the caller, or an operator, gave the work up
    ├── Unavailable           a part of the platform is away; retry
    ├── DataLoss              stored bytes are not what was written
    └── Internal              a bug of ours

An error carries a `reason` (UPPER_SNAKE_CASE, stable, for programs), one clear public sentence (for people), the field and
the remedy where there are any, and metadata. What must not leave the process (paths, statements, secrets) goes into `secret`,
which only the log sees. The status code that each class has on the wire stands in the servers' error catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping


class SynapseError(Exception):
    """The root; raise one of its subclasses.

    Args:
        reason: stable UPPER_SNAKE_CASE name, unique in the platform.
        message: one public sentence; by default it is composed of `field` and `remedy`.
        field: path of the request field at fault, in the contract's spelling (`job.workers.min`).
        remedy: what the caller can do about it, in the imperative.
        retry_after: seconds after which a retry makes sense.
        metadata: further public facts, e.g. the id that was not found.
        secret: text for the log alone.
    """

    def __init__(
        self,
        reason: str,
        message: str = "",
        *,
        field: str = "",
        remedy: str = "",
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
        secret: str = "",
    ) -> None:
        self.reason = reason
        self.field = field
        self.remedy = remedy
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})
        self.secret = secret
        self.message = message or _sentence(reason, field)
        super().__init__(self.public)

    @property
    def public(self) -> str:
        """The sentence that the caller reads: what is wrong and, where known, what to do."""
        return f"{self.message}: {self.remedy}" if self.remedy else self.message


def _sentence(reason: str, field: str) -> str:
    words = reason.replace("_", " ").lower()
    return f"{field}: {words}" if field else words


class InvalidArgument(SynapseError):
    """The request itself is wrong, whatever the state of the platform."""


class Unimplemented(SynapseError):
    """There is no such method here."""


class NotYetAvailable(Unimplemented):
    """The RPC or option is in the contract, its behaviour is not in this release."""


class NotFound(SynapseError):
    """Something that the request names does not exist."""


class AlreadyExists(SynapseError):
    """The name is taken, or the request id was used with another body."""


class FailedPrecondition(SynapseError):
    """The platform is not in the state that the request needs."""


class Aborted(SynapseError):
    """A concurrent writer won; read again and retry."""


class OutOfRange(SynapseError):
    """A position or page past what is retained."""


class Unauthenticated(SynapseError):
    """Who is calling could not be established."""


class PermissionDenied(SynapseError):
    """The caller is known and may not do this."""


class ResourceExhausted(SynapseError):
    """A bound was reached; `retry_after` says when to come back."""


class DeadlineExceeded(SynapseError):
    """The work did not end in the time that the caller gave."""


class Cancelled(SynapseError):
    """The caller, or an operator, gave the work up."""


class Unavailable(SynapseError):
    """A part of the platform is away; retry."""


class DataLoss(SynapseError):
    """Stored bytes are not what was written."""


class Internal(SynapseError):
    """A bug of ours."""
