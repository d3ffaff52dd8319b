"""A network without internet for the trainings, and the endpoints that they need in it."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.common import LOG_RETENTION, Shared

# SageMaker itself pulls the image and ships the logs from its own side; the container talks to S3 alone.
_INTERFACES = {
    "Sts": ec2.InterfaceVpcEndpointAwsService.STS,
    "Kms": ec2.InterfaceVpcEndpointAwsService.KMS,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
}


class Network(Construct):
    """Attributes: subnet_ids, security_group_ids."""

    def __init__(self, scope: Construct, identifier: str, shared: Shared) -> None:
        super().__init__(scope, identifier)
        isolated = ec2.SubnetConfiguration(name="training", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            vpc_name=shared.stack,
            max_azs=2,
            nat_gateways=0,
            subnet_configuration=[isolated],
            restrict_default_security_group=False,
        )
        self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        for name, service in _INTERFACES.items():
            self.vpc.add_interface_endpoint(name, service=service)
        self.vpc.add_flow_log(
            "Flow",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(
                logs.LogGroup(
                    self,
                    "FlowLog",
                    log_group_name=f"/{shared.stack}/network",
                    encryption_key=shared.key,
                    retention=LOG_RETENTION,
                    removal_policy=RemovalPolicy.DESTROY,
                )
            ),
        )
        group = ec2.SecurityGroup(
            self, "Trainings", vpc=self.vpc, allow_all_outbound=False, description="Trainings: out to TLS, in nothing"
        )
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "S3 and the endpoints")
        self.subnet_ids = [subnet.subnet_id for subnet in self.vpc.isolated_subnets]
        self.security_group_ids = [group.security_group_id]
