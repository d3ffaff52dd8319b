"""boto3's client, and what it raises in our own words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from splatlib.errors import MissingDependencyError, S3AccessError, S3Error, S3NotFoundError
from splatlib.s3.credentials import WHO, said_of_credentials

# Objects at once. Pictures are small, so that most of the time goes into waiting for the first byte.
NUM_CONNECTIONS = 8
_REQUEST_ATTEMPTS = 5
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 10, 60

_KEPT = "run the same again: what has arrived is kept"
TO_READ = (
    "the role or user needs s3:ListBucket on the bucket and s3:GetObject on its objects, and kms:Decrypt on the key if"
    f" they are encrypted with one; {WHO}"
)
TO_WRITE = (
    "the role or user needs s3:ListBucket, s3:ListBucketMultipartUploads on the bucket, s3:GetObject, s3:PutObject and"
    f" s3:ListMultipartUploadParts on its objects, and kms:GenerateDataKey and kms:Decrypt on a key; {WHO}"
)
# By S3's error codes: our class, what failed, what to try. A head request's errors have the status as their code.
_SAID: tuple[tuple[frozenset[str], type[S3Error], str, str], ...] = (
    (
        frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "Forbidden", "KMS.DisabledException"}),
        S3AccessError,
        "access to {url} is denied",
        "{needs}",
    ),
    (
        frozenset({"RequestTimeTooSkewed"}),
        S3AccessError,
        "S3 refuses to answer for {url}",
        "set this machine's clock",
    ),
    (
        frozenset({"NoSuchBucket"}),
        S3NotFoundError,
        "there is no bucket of {url}",
        "check the spelling, and the account (aws sts get-caller-identity)",
    ),
    (
        frozenset({"NoSuchKey", "404", "NotFound"}),
        S3NotFoundError,
        "there is nothing at {url}",
        "check the spelling, and the account (aws sts get-caller-identity)",
    ),
    (
        frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "301", "IllegalLocationConstraintException"}),
        S3Error,
        "the bucket of {url} lies in another region",
        "set AWS_REGION to the region of the bucket: aws s3api get-bucket-location",
    ),
    (
        frozenset(
            {"SlowDown", "503", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded"}
        ),
        S3Error,
        f"S3 asks to go slower at {{url}}, {_REQUEST_ATTEMPTS} times in a row",
        f"wait a minute and {_KEPT}",
    ),
    (
        frozenset({"InvalidObjectState"}),
        S3Error,
        "{url} is archived (Glacier)",
        "restore it first (aws s3api restore-object), which takes minutes to hours",
    ),
)
_REPLACED = frozenset({"PreconditionFailed", "412", "InvalidRange", "416"})


def make_client(url: str) -> Any:
    """boto3's S3 client. Raises MissingDependencyError, or S3AccessError if its configuration is wrong.

    Args:
        url: what it is for, in errors.
    """
    try:
        import boto3.session
        from botocore.config import Config
    except ImportError as error:
        raise MissingDependencyError(
            "boto3 is not installed", why=f"{url} is read with it", hint="pip install 'splatlib[aws]'"
        ) from error
    config = Config(
        retries={"mode": "standard", "total_max_attempts": _REQUEST_ATTEMPTS},
        max_pool_connections=NUM_CONNECTIONS,
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
    )
    with s3_errors_translated(url):
        return boto3.session.Session().client("s3", config=config)


def denied_error(url: str, why: str) -> S3AccessError:
    return S3AccessError(f"access to {url} is denied", why=why, hint=TO_READ)


@contextlib.contextmanager
def s3_errors_translated(url: str, replaced: Path | None = None, needs: str = TO_READ) -> Iterator[None]:
    """What boto3 raises, as S3Errors. ``replaced``: the part to give up if the object is another one by now;
    ``needs``: the permissions that the work needs."""
    from botocore import exceptions as boto

    try:
        yield
    except (boto.ClientError, boto.BotoCoreError, ValueError) as error:
        if said := said_of_credentials(error, url):
            raise S3AccessError(*said) from error
        raise _of_error(url, error, replaced, needs) from error


def _of_error(url: str, error: Exception, replaced: Path | None, needs: str) -> S3Error:
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _REPLACED and replaced is not None:
            replaced.unlink(missing_ok=True)
            return S3Error(
                f"{url} was replaced while it was downloaded", hint="wait for the upload to end, and run it again"
            )
        return _of_client_error(url, code, error, needs)
    if isinstance(error, boto.ConnectionError | boto.HTTPClientError):
        return S3Error(
            f"S3 cannot be reached for {url}",
            why=str(error),
            hint="check the network, a proxy (HTTPS_PROXY), AWS_ENDPOINT_URL, and in a closed VPC its endpoint for S3",
        )
    if isinstance(error, boto.FlexibleChecksumError):
        if replaced is not None:
            replaced.unlink(missing_ok=True)
        return S3Error(f"{url} arrived damaged", why=str(error), hint="run it again")
    return S3Error(f"{url} cannot be read", why=str(error), hint="check AWS_REGION and AWS_ENDPOINT_URL")


def _of_client_error(url: str, code: str, error: Any, needs: str) -> S3Error:
    said = str(error.response.get("Error", {}).get("Message") or error)
    for codes, kind, what, hint in _SAID:
        if code in codes:
            return kind(what.format(url=url), why=said, hint=hint.format(needs=needs))
    if code.startswith("KMS."):
        return S3AccessError(f"access to {url} is denied", why=said, hint=needs)
    return S3Error(f"S3 answers {url} with {code or 'an error'}", why=said, hint="see the bucket's settings")
