"""The container image: a registry whose tags never change, and its build where no Docker is needed here."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Duration, IgnoreMode, RemovalPolicy
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from infra.common import Shared, log_group, role

_ROOT = Path(__file__).parents[2]
BUILD = Path(__file__).with_name("buildspec.yml")
_SENT = ("container", "container/**", "splatlib", "splatlib/**", "pyproject.toml", "README.md", "LICENSE")


class Image(Construct):
    """Attributes: repository, project, tag (a digest of the sources)."""

    def __init__(self, scope: Construct, identifier: str, shared: Shared) -> None:
        super().__init__(scope, identifier)
        self.repository = ecr.Repository(
            self,
            "Repository",
            repository_name=shared.stack,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            image_scan_on_push=True,
            encryption=ecr.RepositoryEncryption.KMS,
            encryption_key=shared.key,
            lifecycle_rules=[ecr.LifecycleRule(rule_priority=1, max_image_count=10, description="the last ten")],
            removal_policy=RemovalPolicy.RETAIN,
        )
        sources = assets.Asset(
            self,
            "Sources",
            path=str(_ROOT),
            exclude=["*", *(f"!{name}" for name in _SENT), "**/__pycache__"],
            ignore_mode=IgnoreMode.GIT,
        )
        self.tag = sources.asset_hash[:16]
        build_role = role(
            self,
            "image_build",
            shared,
            "codebuild.amazonaws.com",
            more_names={"assets_bucket": sources.s3_bucket_name, "assets_key": sources.s3_object_key},
        )
        self.project = codebuild.Project(
            self,
            "Build",
            project_name=f"{shared.stack}-image",
            description=f"Builds the container image of the stack {shared.stack} and names its digest",
            source=codebuild.Source.s3(bucket=sources.bucket, path=sources.s3_object_key),
            build_spec=codebuild.BuildSpec.from_source_filename("container/buildspec.yml")
            if not BUILD.exists()
            else codebuild.BuildSpec.from_asset(str(BUILD)),
            environment=codebuild.BuildEnvironment(
                build_image=codebuild.LinuxBuildImage.AMAZON_LINUX_2023_5,
                compute_type=codebuild.ComputeType.LARGE,
                privileged=True,  # docker build
            ),
            environment_variables={
                "REPOSITORY": codebuild.BuildEnvironmentVariable(value=self.repository.repository_uri),
                "TAG": codebuild.BuildEnvironmentVariable(value=self.tag),
                "PARAMETER": codebuild.BuildEnvironmentVariable(value=f"/{shared.stack}/image-uri"),
            },
            encryption_key=shared.key,
            logging=codebuild.LoggingOptions(
                cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=log_group(self, "image-build", shared))
            ),
            timeout=Duration.hours(2),
            role=build_role.without_policy_updates(),
        )
