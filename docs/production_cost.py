"""Writes the cost table into docs/production.md: ``python docs/production_cost.py``. A test fails if it is out of date.

Training is what splatlib itself reckons (``splatlib/launch/estimate.py``: seconds measured on two CPU cores and on an
H100, ``benchmarks/results``, scaled to the instance; prices of ``instances.json``), for the job that the guidance's
JSON becomes with all its defaults. State transitions are counted in a driven run; the services' other requests for a
submission are reckoned, on the high side, and multiplied with the list prices below.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from infra.settings import DeploymentSettings
from splatlib.config.toolbox import read_toolbox
from splatlib.launch.estimate import ASSUMED_MEGAPIXELS, SPOT_SHARE, Estimate, estimate
from splatlib.launch.prices import Price, instance_called

PAGE = Path(__file__).parent / "production.md"
SCENES, HOURS, REGION = 100, 730, "us-east-1"
# List prices of US East (N. Virginia), 2025, in dollars; free tiers are left out.
GB_MONTH_OF_ECR = 0.10
ALARM, METRIC_HOUR, GB_OF_LOGS, KEY = 0.10, 0.30 / HOURS, 0.50, 1.00
LAMBDA_REQUEST, LAMBDA_GB_S = 0.20 / 1e6, 0.0000133334
TRANSITION, SQS_REQUEST, MAIL = 0.025 / 1e3, 0.40 / 1e6, 2.0 / 1e5
DYNAMODB_WRITE, DYNAMODB_READ = 0.625 / 1e6, 0.125 / 1e6
ENDPOINT_HOUR, ENDPOINTS, ZONES = 0.01, 3, 2
# Per submission that succeeds: test_chain.py holds the transitions against a driven run.
TRANSITIONS = 9
INVOCATIONS, SECONDS_OF_EACH, MEMORY_GB = 3, 1.5, 0.5
WRITES, READS, LOG_GB = 12, 12, 0.0002
SWEEPS_AN_HOUR = 4
# An event source mapping polls with five connections, each for 20 s.
POLLS_AN_HOUR = 5 * 3600 / 20
ALARMS = 14
# The guidance's own table, by its rows (README, May 2025).
GUIDANCE = {"SageMaker": 273.00, "S3, transfer": 2.51, "ECR, 15 GB": 1.47, "requests": 0.85, "CloudWatch": 0.50}


def rows() -> list[tuple[str, float | None, float, float]]:
    """Service, the guidance, here on demand, here spot: dollars a month."""
    instance = DeploymentSettings().instances[0]
    on_demand, spot = (SCENES * training(instance, spot)[1] for spot in (False, True))
    sweeps = SWEEPS_AN_HOUR * HOURS
    invocations = SCENES * INVOCATIONS + sweeps
    requests = (
        invocations * (LAMBDA_REQUEST + SECONDS_OF_EACH * MEMORY_GB * LAMBDA_GB_S)
        + SCENES * (TRANSITIONS * TRANSITION + MAIL + WRITES * DYNAMODB_WRITE + READS * DYNAMODB_READ)
        + sweeps * 3 * DYNAMODB_READ
        + (POLLS_AN_HOUR * HOURS + 3 * SCENES) * SQS_REQUEST
    )
    # three own metrics, in each hour in which a submission ended; one alarm looks at two metrics
    watching = (ALARMS + 1) * ALARM + SCENES * (3 * METRIC_HOUR + LOG_GB * GB_OF_LOGS)
    same = [
        ("S3, transfer (as the guidance counts them)", GUIDANCE["S3, transfer"], GUIDANCE["S3, transfer"]),
        ("ECR, 15 GB", GUIDANCE["ECR, 15 GB"], 15 * GB_MONTH_OF_ECR),
        ("DynamoDB, Lambda, Step Functions, SNS, SQS, SSM", GUIDANCE["requests"], requests),
        (f"CloudWatch: {ALARMS} alarms, dashboard, metrics, logs", GUIDANCE["CloudWatch"], watching),
        ("KMS key", None, KEY),
    ]
    found: list[tuple[str, float | None, float, float]] = [
        (f"SageMaker: {instance}", GUIDANCE["SageMaker"], on_demand, spot)
    ]
    found += [(name, theirs, ours, ours) for name, theirs, ours in same]
    guidance = sum(row[1] or 0 for row in found)
    return [*found, ("**in all**", guidance, sum(row[2] for row in found), sum(row[3] for row in found))]


def training(instance: str, spot: bool) -> tuple[float, float, float]:
    """Dollars of one scene, low, likely, high: the job that the guidance's JSON with its defaults becomes."""
    reckoned = _reckoned(instance, spot)
    assert reckoned.usd is not None
    return reckoned.usd


def _reckoned(instance: str, spot: bool) -> Estimate:
    job = read_toolbox({"s3": {"bucketName": "b", "inputKey": "captures/scene.mov"}}).job
    price = Price(instance_called(instance).usd_per_hour, REGION, "", "of the table, whatever this machine has read")
    return estimate(job, instance_called(instance), price, frames=job.frames.max_frames, spot=spot)


WORDS = """\
A scene is {reckoned.frames} frames of {megapixels:.1f} megapixels with `balanced`: what the guidance's JSON becomes
with its defaults. On {instance} that is reckoned as {minutes[1]:.0f} minutes ({minutes[0]:.0f} to {minutes[2]:.0f}),
start-up and structure from motion included, so {scenes} scenes cost {on_demand[0]:.0f} to {on_demand[2]:.0f} dollars
on demand and {spot[0]:.0f} to {spot[2]:.0f} on spot, where {share[1]} of the price is assumed ({share[0]} to
{share[2]}). Measured for it: the stages before training on two CPU cores, training on an H100; scaled, not measured:
training on this instance. The guidance counts one hour of ml.g5.4xlarge a scene, at 2.73 dollars; by our price table
({hour:.2f}) the same hour is {hours:.0f} dollars for {scenes}, and our job there {there:.0f}. The VPC option adds
about {network:.0f} dollars: {endpoints} interface endpoints in {zones} zones. The image's build is some cents each
time."""


def text() -> str:
    """The table with its assumptions, as Markdown."""
    instance, theirs = DeploymentSettings().instances[0], "ml.g5.4xlarge"
    reckoned, hour = _reckoned(instance, spot=False), instance_called(theirs).usd_per_hour
    words = WORDS.format(
        reckoned=reckoned,
        megapixels=ASSUMED_MEGAPIXELS,
        instance=instance,
        minutes=[seconds / 60 for seconds in reckoned.seconds],
        scenes=SCENES,
        on_demand=[SCENES * usd for usd in training(instance, spot=False)],
        spot=[SCENES * usd for usd in training(instance, spot=True)],
        share=SPOT_SHARE,
        hour=hour,
        hours=SCENES * hour,
        there=SCENES * training(theirs, spot=False)[1],
        network=ENDPOINTS * ZONES * ENDPOINT_HOUR * HOURS,
        endpoints=ENDPOINTS,
        zones=ZONES,
    )
    lines = ["| service | guidance | here, on demand | here, spot |", "|---|---|---|---|"]
    for name, guidance, on_demand, spot in rows():
        lines.append(f"| {name} | {'none' if guidance is None else f'{guidance:.2f}'} | {on_demand:.2f} | {spot:.2f} |")
    return "\n".join([*lines, "", textwrap.fill(" ".join(words.split()), 130)])


def main() -> None:
    page = PAGE.read_text()
    PAGE.write_text(with_table(page))


def with_table(page: str) -> str:
    begin, end = "<!-- made by docs/production_cost.py -->\n", "\n<!-- until here -->"
    return re.sub(rf"(?<={begin}).*?(?={end})", lambda _: text(), page, flags=re.DOTALL)


if __name__ == "__main__":
    main()
