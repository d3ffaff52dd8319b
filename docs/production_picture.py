"""Draws docs/images/production.png from the synthesised stack: ``python docs/production_picture.py``.

Every box names resources of the template, and drawing fails where one of them is not there (needs make infra-install).
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from aws_cdk.assertions import Template

from infra.app import make_app

# Column, row, words, and what of the template it is: type and a part of a name.
BOXES: dict[str, tuple[float, float, str, str, str]] = {
    "bucket": (0, 2, "S3 job bucket\ncaptures/ jobs/ results/\ncheckpoints/ models/", "AWS::S3::Bucket", "Jobs"),
    "topic": (1, 2, "SNS topic\nuploads", "AWS::SNS::Topic", "IntakeTopic"),
    "queue": (2, 2, "SQS queue\nintake", "AWS::SQS::Queue", "IntakeQueue"),
    "trigger": (3, 2, "Lambda\ntrigger", "AWS::Lambda::Function", "IntakeTrigger"),
    "records": (3, 3, "DynamoDB\nrecords", "AWS::DynamoDB::Table", "Records"),
    "parameters": (2, 3, "Parameter Store\nsettings, image", "AWS::SSM::Parameter", "settings"),
    "machine": (4, 2, "Step Functions\nworkflow", "AWS::StepFunctions::StateMachine", "WorkflowMachine"),
    "prepare": (4, 3, "Lambda\nprepare", "AWS::Lambda::Function", "WorkflowPrepare"),
    "slots": (5, 3, "DynamoDB\nslots", "AWS::DynamoDB::Table", "Slots"),
    "training": (5, 2, "SageMaker\ntraining job", "AWS::IAM::Role", "TrainingRole"),
    "registry": (5, 1, "ECR image\nby digest", "AWS::ECR::Repository", "ImageRepository"),
    "build": (6, 1, "CodeBuild\nimage", "AWS::CodeBuild::Project", "ImageBuild"),
    "complete": (4, 0, "Lambda\ncomplete", "AWS::Lambda::Function", "CompletionComplete"),
    "events": (3, 0, "EventBridge\nended badly", "AWS::Events::Rule", "Ended"),
    "mail": (5, 0, "SNS topic\nmail", "AWS::SNS::Topic", "MailingMail"),
    "sweep": (6, 0, "Lambda sweep\nevery 15 min", "AWS::Lambda::Function", "CompletionSweep"),
    "dead": (1, 1, "SQS dead letters\nbehind every hop", "AWS::SQS::Queue", "Dead"),
    "alarms": (0, 1, "CloudWatch\nalarms, dashboard", "AWS::CloudWatch::Dashboard", "Dashboard"),
}
ARROWS = [
    ("bucket", "topic"), ("topic", "queue"), ("queue", "trigger"), ("trigger", "records"), ("parameters", "trigger"),
    ("trigger", "machine"), ("machine", "prepare"), ("machine", "slots"), ("machine", "training"),
    ("build", "registry"), ("registry", "training"), ("machine", "complete"), ("events", "complete"),
    ("complete", "mail"), ("queue", "dead"), ("dead", "alarms"), ("sweep", "mail"), ("machine", "events"),
]  # fmt: skip
COLOURS = {"S3": "#7aa116", "SNS": "#e7157b", "SQS": "#e7157b", "Lam": "#ed7100", "Dyn": "#c925d1", "Ste": "#e7157b"}


def main() -> None:
    template = Template.from_stack(make_app().node.find_child("Production"))  # type: ignore[arg-type]
    figure, axes = plt.subplots(figsize=(14.5, 6.2), dpi=110)
    for name, (_, _, _, kind, part) in BOXES.items():
        found = [identifier for identifier in template.find_resources(kind) if part in identifier]
        assert found, f"the stack has no {kind} with {part} in its name: draw {name} anew"
    for begin, end in ARROWS:
        (x0, y0), (x1, y1) = (BOXES[name][:2] for name in (begin, end))
        shrink = 46 if y0 == y1 else 24
        style = {"arrowstyle": "-|>", "color": "#555555", "shrinkA": shrink, "shrinkB": shrink, "lw": 1.4}
        axes.annotate("", (x1 * 2, y1 * 1.3), (x0 * 2, y0 * 1.3), arrowprops=style)
    for x, y, words, _, _ in BOXES.values():
        colour = COLOURS.get(words[:3], "#01a88d")
        box = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": colour, "linewidth": 2}
        axes.text(x * 2, y * 1.3, words, ha="center", va="center", fontsize=9, bbox=box)
    axes.set_xlim(-1.1, 13.1)
    axes.set_ylim(-0.7, 4.6)
    axes.axis("off")
    figure.savefig(Path(__file__).parent / "images" / "production.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
