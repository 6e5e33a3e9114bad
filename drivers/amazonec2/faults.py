"""AWS's errors told as ours: which action was refused, why, and what to do about it.

Codes: "Error codes for the Amazon EC2 API"; the common errors of the query and JSON APIs.
"""

from __future__ import annotations

from typing import Any

from pymachine.machine.errors import DriverError, MachineError, MissingRequirement

THROTTLED = frozenset(
    ("RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException",
     "RequestThrottled", "EC2ThrottledException", "SlowDown")
)  # fmt: skip
TRANSIENT = frozenset(
    ("InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable", "Unavailable", "RequestTimeout",
     "ServerInternal")
)  # fmt: skip
EXPIRED = frozenset(("RequestExpired", "ExpiredToken", "ExpiredTokenException"))
INVALID = frozenset(
    ("AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch",
     "InvalidSignatureException", "MissingAuthenticationToken", "InvalidAccessKeyId", "IncompleteSignature")
)  # fmt: skip
DENIED = frozenset(
    ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "UnauthorizedException", "ForbiddenException")
)
NO_CAPACITY = frozenset(
    ("InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity", "SpotMaxPriceTooLow",
     "MaxSpotInstanceCountExceeded", "Unsupported", "UnfulfillableCapacity")
)  # fmt: skip
"""Another zone, type or market may do."""
UNUSABLE = frozenset(
    ("ProfileNotFound", "ConfigNotFound", "ConfigParseError", "InvalidConfigError", "InfiniteLoopConfigError",
     "UnknownCredentialError", "CredentialRetrievalError", "RefreshWithMFAUnsupportedError")
)  # fmt: skip
"""botocore's own errors about what the configuration says of credentials."""
HINTS = {
    "VcpuLimitExceeded": "ask for a higher limit of running instances in Service Quotas, or take a smaller type",
    "InstanceLimitExceeded": "ask for a higher limit of running instances in Service Quotas",
    "AddressLimitExceeded": "release an Elastic IP, or ask for a higher limit in Service Quotas",
    "SecurityGroupLimitExceeded": "remove some security groups: pymachine gc -d amazonec2",
    "OptInRequired": "the account must be subscribed to the service or image first",
}


class Refused(DriverError):
    """AWS said no. ``code`` is AWS's word for it, ``action`` what was asked, as in a policy (``ec2:RunInstances``)."""

    def __init__(self, code: str, action: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.action = action

    @property
    def absent(self) -> bool:
        """Whether the thing that was asked for is not there (any more, or not yet)."""
        return self.code.endswith(("NotFound", ".Malformed")) or self.code == "ParameterNotFound"


class NoAnswer(DriverError):
    """AWS was not reached, or did not say what became of a call: it may have been done."""


class NotAllowed(Refused):
    """Credentials that are expired, wrong or not allowed to do it."""


ON_THE_WAY = {
    "AssumeRole": "sts", "AssumeRoleWithWebIdentity": "sts", "GetRoleCredentials": "sso", "CreateToken": "sso-oauth",
}  # fmt: skip
"""What botocore asks by itself to get at credentials; by its service, as in a policy."""


def from_client_error(error: Any, action: str, who: str) -> Refused:
    """A botocore ``ClientError``; *who* is the identity's origin in words. What was refused may have been a call on the
    way to the credentials, which is then the action to be told."""
    if service := ON_THE_WAY.get(getattr(error, "operation_name", "")):
        action = f"{service}:{error.operation_name}"
    details = error.response.get("Error", {})
    code, text = str(details.get("Code", "")), " ".join(str(details.get("Message", "")).split())
    if code in EXPIRED:
        return NotAllowed(
            code, action, f"the AWS credentials ({who}) have expired; {action} was refused",
            hint="get new ones: aws sso login, or whatever gave you the session token",
        )  # fmt: skip
    if code in INVALID:
        return NotAllowed(
            code, action, f"AWS does not accept the credentials ({who}); {action} was refused: {text}",
            hint="check them with: aws sts get-caller-identity   (and this computer's clock)",
        )  # fmt: skip
    if code in DENIED:
        return NotAllowed(
            code, action, f"AWS denied {action} to the credentials ({who})",
            hint=f"allow {action} in the identity's policy",
        )  # fmt: skip
    return Refused(code, action, f"{action} was refused: {text or code} ({code})", hint=HINTS.get(code, ""))


def from_botocore(error: Any, action: str, who: str) -> MachineError:
    """Any other botocore error: no credentials, a profile that is not there, no way to the endpoint."""
    kind, text = type(error).__name__, " ".join(str(error).split())
    if kind in ("NoCredentialsError", "PartialCredentialsError"):
        return MissingRequirement(
            f"no AWS credentials for {action}: {text}",
            hint="set AWS_PROFILE or --amazonec2-profile, run aws configure or aws sso login, or use an instance role",
        )
    if "SSO" in kind or kind == "TokenRetrievalError":
        profile = f" --{who.partition(',')[0]}" if who.startswith("profile ") else ""
        return MissingRequirement(f"no AWS credentials for {action}: {text}", hint=f"aws sso login{profile}")
    if kind.startswith("Login"):
        return MissingRequirement(f"no AWS credentials for {action}: {text}", hint="aws login")
    if kind in UNUSABLE:
        return MissingRequirement(f"no AWS credentials for {action}: {text}", hint="see ~/.aws/config")
    if kind == "ParamValidationError":
        return DriverError(f"{action}: {text}")
    return DriverError(f"{action} failed ({who}): {text}")


def no_answer(error: Any, action: str, who: str) -> NoAnswer:
    """A botocore error of a connection that was not made, or broke, or brought nothing that could be read."""
    return NoAnswer(f"{action} failed ({who}): {' '.join(str(error).split())}")
