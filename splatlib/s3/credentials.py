"""What AWS has against credentials, whichever of its services says so, in our own words."""

from __future__ import annotations

from typing import NamedTuple

WHO = "see who you are with: aws sts get-caller-identity"
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN = {
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


class Said(NamedTuple):
    """The words of an error of ours."""

    what: str
    why: str
    hint: str


def said_of_credentials(error: Exception, asked: str) -> Said | None:
    """Words for an error of botocore that is about credentials: none, unknown or expired ones; None of any other.

    Args:
        asked: for what they were needed.
    """
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        answer = error.response.get("Error", {})
        said = str(answer.get("Message") or error)
        if answer.get("Code") in _EXPIRED:
            return Said(
                f"the AWS credentials for {asked} have expired",
                said,
                "log in again (aws sso login), or fetch fresh ones",
            )
        if answer.get("Code") in _UNKNOWN:
            return Said(f"AWS does not know these credentials, for {asked}", said, "aws configure, or set AWS_PROFILE")
    if isinstance(error, boto.TokenRetrievalError | boto.SSOError):
        return Said("the AWS login has expired", str(error), "aws sso login")
    if isinstance(
        error,
        boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError | boto.ProfileNotFound,
    ):
        return Said(
            f"no AWS credentials for {asked}",
            str(error),
            "aws configure, or aws sso login, or set AWS_PROFILE; on AWS, give the machine a role",
        )
    return None
