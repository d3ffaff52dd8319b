"""The job's role and bucket: named, or found from Studio; and the image, looked at before anything is uploaded."""

from __future__ import annotations

import os
import re
from typing import Any

from splatlib.errors import LaunchAccessError, LaunchError
from splatlib.launch.aws.session import aws_errors_translated
from splatlib.launch.aws.settings import ROLE_VARIABLE, SageMakerSettings
from splatlib.progress import logger

_ECR_IMAGE = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)(?::([^@]+))?(?:@(.+))?")


def role_arn(settings: SageMakerSettings, session: Any) -> str:
    """Raises LaunchAccessError where there is no role, or not that one."""
    role = settings.role or os.environ.get(ROLE_VARIABLE)
    if role and role.startswith("arn:"):
        return role
    if role:
        with aws_errors_translated(f"looking for the role {role}", needs="iam:GetRole"):
            iam = session.boto_session.client("iam")
            try:
                return iam.get_role(RoleName=role)["Role"]["Arn"]
            except iam.exceptions.NoSuchEntityException as error:
                raise LaunchAccessError(
                    f"there is no role {role}", why=str(error), hint="name it, or give its ARN: SageMaker(role=...)"
                ) from error
    from sagemaker.session import get_execution_role

    with aws_errors_translated("asking who you are", needs="sts:GetCallerIdentity"):
        try:
            return get_execution_role(session)
        except ValueError as error:
            raise LaunchAccessError(
                "no role for the job is named",
                why=str(error),
                hint=f"SageMaker(role=...), or {ROLE_VARIABLE}: a role that trusts sagemaker.amazonaws.com and may"
                " read and write the bucket; in Studio its own role is taken",
            ) from error


def bucket_of(settings: SageMakerSettings, session: Any) -> str:
    """The bucket's name; the SDK's default one is made if it is not there.

    Raises LaunchError if it lies in another region than the job, LaunchAccessError, or S3's own refusal.
    """
    region = session.boto_session.region_name
    if settings.bucket is None:
        with aws_errors_translated("SageMaker's default bucket", needs="s3:CreateBucket, or name a bucket"):
            return session.default_bucket()
    from botocore.exceptions import ClientError

    with aws_errors_translated(f"the bucket {settings.bucket}", needs="s3:ListBucket"):
        try:
            head = session.boto_session.client("s3").head_bucket(Bucket=settings.bucket)["ResponseMetadata"]
        except ClientError as error:
            head = error.response["ResponseMetadata"]
            status = head.get("HTTPStatusCode")
            if status == 404:
                raise LaunchError(
                    f"there is no bucket {settings.bucket}", hint="check the spelling, and the account"
                ) from error
            if status not in (301, 400, 403):
                raise
            if status == 403 and "x-amz-bucket-region" not in head.get("HTTPHeaders", {}):
                raise
    lies_in = head.get("HTTPHeaders", {}).get("x-amz-bucket-region", region)
    if lies_in != region:
        raise LaunchError(
            f"the bucket {settings.bucket} lies in {lies_in}, the job would run in {region}",
            why="SageMaker reads and writes in its own region only",
            hint=f"region={lies_in!r}, or a bucket of {region}",
        )
    return settings.bucket


def refuse_missing_image(image: str, session: Any) -> None:
    """Look whether an image of this account's ECR is there. Raises LaunchError.

    Who may not look, submits without this: the job then fails with SageMaker's own words.
    """
    match = _ECR_IMAGE.fullmatch(image)
    if match is None:
        return  # another registry: reachable from a VPC with a private one
    registry, region, repository, tag, digest = match.groups()
    which = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
    ecr = session.boto_session.client("ecr", region_name=region)
    from botocore.exceptions import ClientError

    try:
        with aws_errors_translated("ECR", needs="ecr:DescribeImages"):
            try:
                ecr.describe_images(registryId=registry, repositoryName=repository, imageIds=[which])
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("ImageNotFoundException", "RepositoryNotFoundException"):
                    raise
                raise LaunchError(
                    f"there is no image {image}",
                    why=error.response["Error"].get("Message", ""),
                    hint="push it (make image, docs/sagemaker.md), or check its tag and region",
                ) from error
    except LaunchAccessError as error:
        logger.debug("the image was not looked at: %s", error.why)
