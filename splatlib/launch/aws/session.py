"""Sessions of boto3 and of the SageMaker SDK, and what they raise in our own words."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from typing import Any

from splatlib.errors import LaunchAccessError, LaunchError, LaunchQuotaError, MissingDependencyError
from splatlib.s3.credentials import WHO, said_of_credentials

_ATTEMPTS = 6
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
_THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}


def client(service: str, region: str | None = None) -> Any:
    """A client of boto3. Raises MissingDependencyError, LaunchAccessError."""
    try:
        import boto3.session
        from botocore.config import Config
    except ImportError as error:
        raise MissingDependencyError(
            "boto3 is not installed", why=f"AWS ({service}) is asked with it", hint="pip install 'splatlib[aws]'"
        ) from error
    config = Config(retries={"mode": "standard", "total_max_attempts": _ATTEMPTS})
    with aws_errors_translated(service):
        return boto3.session.Session(region_name=region).client(service, config=config)


def sagemaker_session(region: str | None) -> Any:
    """The SDK's session. Raises MissingDependencyError, LaunchAccessError, LaunchError if no region is set."""
    # The pinned major version says at each import that there is a newer one, which has no Estimator.
    os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
    logging.getLogger("sagemaker.config").setLevel(logging.WARNING)  # which of its configuration files are not there
    try:
        import boto3.session
        import sagemaker.session
        from botocore.config import Config
        from sagemaker.config.config import load_sagemaker_config
    except ImportError as error:
        raise MissingDependencyError(
            "the SageMaker SDK is not installed", why=str(error), hint="pip install 'splatlib[aws]'"
        ) from error
    with aws_errors_translated("SageMaker"):
        boto_session = boto3.session.Session(region_name=region)
        if boto_session.region_name is None:
            raise LaunchError("no AWS region is set", hint="SageMaker(region=...), AWS_REGION, or: aws configure")
        config = Config(retries={"mode": "standard", "total_max_attempts": _ATTEMPTS})
        own = load_sagemaker_config()
        own.setdefault("SchemaVersion", "1.0")
        # what it would send home holds the names of a user's buckets
        own.setdefault("SageMaker", {}).setdefault("PythonSDK", {}).setdefault("Modules", {})["TelemetryOptOut"] = True
        return sagemaker.session.Session(
            boto_session=boto_session,
            sagemaker_client=boto_session.client("sagemaker", config=config),
            sagemaker_config=own,
        )


@contextlib.contextmanager
def logging_left_alone() -> Iterator[None]:
    """Around the SDK: some of its modules send everything that any library logs to the screen, and its own remarks
    would stand in a notebook like errors. Its warnings come through."""
    root, own = logging.getLogger(), logging.getLogger("sagemaker")
    handlers, level, own_level = list(root.handlers), root.level, own.level
    own.setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        own.setLevel(own_level)


@contextlib.contextmanager
def aws_errors_translated(asked: str, needs: str = "") -> Iterator[None]:
    """What boto3 raises, as LaunchErrors.

    Args:
        asked: what is asked of AWS, in words.
        needs: the permissions for it.
    """
    try:
        from botocore import exceptions as boto
    except ImportError:
        yield
        return
    try:
        yield
    except (boto.ClientError, boto.BotoCoreError) as error:
        if said := said_of_credentials(error, asked):
            raise LaunchAccessError(*said) from error
        raise _of_error(asked, needs, error) from error


def _of_error(asked: str, needs: str, error: Exception) -> LaunchError:
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return _of_client_error(asked, needs, error)
    if isinstance(error, boto.NoRegionError):
        return LaunchError("no AWS region is set", hint="SageMaker(region=...), AWS_REGION, or: aws configure")
    if isinstance(error, boto.ParamValidationError):
        return LaunchError(f"{asked} cannot be asked so", why=str(error), hint="check the launcher's settings")
    if isinstance(error, boto.ConnectionError | boto.HTTPClientError):
        return LaunchError(
            f"{asked} cannot be reached",
            why=str(error),
            hint="check the region's name, the network, a proxy (HTTPS_PROXY), and in a closed VPC its endpoints",
        )
    return LaunchError(f"{asked} failed", why=str(error))


def _of_client_error(asked: str, needs: str, error: Any) -> LaunchError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    said = str(error.response.get("Error", {}).get("Message") or error)
    if code in _DENIED:
        return _denied(asked, needs, said)
    if code in _THROTTLED:
        return LaunchError(
            f"AWS asks to go slower at {asked}, {_ATTEMPTS} times in a row", why=said, hint="wait a minute, try again"
        )
    if code in ("ResourceLimitExceeded", "LimitExceededException"):
        return _beyond_quota(said)
    if code in ("ResourceInUse", "ResourceInUseException"):
        return LaunchError("the name of the job is taken", why=said, hint="choose another name, or none at all")
    if "role" in said.lower() and code == "ValidationException" and "assum" in said.lower():
        return LaunchAccessError(
            "SageMaker cannot take on the role",
            why=said,
            hint="the role's trust policy must name the service sagemaker.amazonaws.com",
        )
    return LaunchError(f"{asked} failed ({code or 'unknown'})", why=said, hint="check the launcher's settings")


def _denied(asked: str, needs: str, said: str) -> LaunchAccessError:
    """AWS names the action that is missing; iam:PassRole is the one most often forgotten."""
    action = re.search(r"perform: ([\w-]+:\w+)", said)
    missing = action[1] if action else needs
    hint = f"ask for {missing}" if missing else "ask for the permission"
    if missing == "iam:PassRole":
        hint += " on the job's role, for the service sagemaker.amazonaws.com"
    return LaunchAccessError(f"{asked} is not allowed", why=said, hint=f"{hint}; {WHO}")


def _beyond_quota(said: str) -> LaunchQuotaError:
    """``The account-level service limit 'ml.g5.xlarge for training job usage' is 0 Instances, …``"""
    quota = re.search(r"limit '([^']+)'", said)
    if "not available in this region" in said:
        return LaunchQuotaError(
            "this region does not have that instance", why=said, hint="another region, or another instance"
        )
    return LaunchQuotaError(
        f"the account's quota does not allow it: {quota[1]}" if quota else "the account's quota does not allow it",
        why=said,
        hint="Service Quotas > Amazon SageMaker: ask for more of "
        f"'{quota[1] if quota else 'the instance for (spot) training job usage'}'. Spot and on-demand instances have"
        " quotas of their own: spot=False may go where spot does not",
    )
