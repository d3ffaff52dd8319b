"""Draws docs/images/production.png from the synthesised stack: ``python docs/production_picture.py``.

Every box names resources of the template, and every function, topic, queue, table and state machine has a box: drawing
fails where the two do not agree, and so does a test (needs make infra-install).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

PICTURE = Path(__file__).parent / "images" / "production.png"

# Column, row, words, and which resources of the template it is: types and parts of their names.
BOXES: dict[str, tuple[float, float, str, tuple[tuple[str, str], ...]]] = {
    "batch": (0, 3, "Step Functions\nbatch (distributed map)", (("AWS::StepFunctions::StateMachine", "Batches"),)),
    "bucket": (0, 2, "S3 job bucket\ncaptures/ jobs/ results/\ncheckpoints/ models/", (("AWS::S3::Bucket", "Jobs"),)),
    "topic": (1, 2, "SNS topic\nuploads", (("AWS::SNS::Topic", "IntakeTopic"),)),
    "queue": (2, 2, "SQS queue\nintake", (("AWS::SQS::Queue", "IntakeQueue"),)),
    "trigger": (3, 2, "Lambda\ntrigger", (("AWS::Lambda::Function", "IntakeTrigger"),)),
    "records": (3, 3, "DynamoDB\nrecords", (("AWS::DynamoDB::Table", "Records"),)),
    "parameters": (2, 3, "Parameter Store\nsettings, image", (("AWS::SSM::Parameter", "settings"),)),
    "machine": (4, 2, "Step Functions\nworkflow", (("AWS::StepFunctions::StateMachine", "WorkflowMachine"),)),
    "prepare": (4, 3, "Lambda\nprepare", (("AWS::Lambda::Function", "WorkflowPrepare"),)),
    "slots": (5, 3, "DynamoDB\nslots", (("AWS::DynamoDB::Table", "Slots"),)),
    "training": (5, 2, "SageMaker\ntraining job (spot)", (("AWS::IAM::Role", "TrainingRole"),)),
    "registry": (6, 2, "ECR image\nby digest", (("AWS::ECR::Repository", "ImageRepository"),)),
    "build": (6, 3, "CodeBuild\nimage", (("AWS::CodeBuild::Project", "ImageBuild"),)),
    "events": (3, 1, "EventBridge\nended badly", (("AWS::Events::Rule", "Ended"),)),
    "complete": (4, 0.7, "Lambda\ncomplete", (("AWS::Lambda::Function", "CompletionComplete"),)),
    "mail": (5, 0.7, "SNS topic\nmail", (("AWS::SNS::Topic", "MailingMail"),)),
    "sweep": (6, 0.7, "Lambda sweep\nevery 15 min", (("AWS::Lambda::Function", "CompletionSweep"),)),
    "dead": (1.5, 1, "SQS dead letters\nbehind every hop", (("AWS::SQS::Queue", "Dead"),)),
    "alarms": (
        0, 1, "CloudWatch alarms,\ndashboard; SNS topic",
        (("AWS::CloudWatch::Dashboard", "Dashboard"), ("AWS::SNS::Topic", "MailingAlarms")),
    ),
}  # fmt: skip
ARROWS = [
    ("batch", "bucket"), ("bucket", "topic"), ("topic", "queue"), ("queue", "trigger"), ("trigger", "records"),
    ("parameters", "trigger"), ("trigger", "machine"), ("machine", "prepare"), ("machine", "slots"),
    ("machine", "training"), ("build", "registry"), ("registry", "training"), ("machine", "complete"),
    ("machine", "events"), ("events", "complete"), ("complete", "mail"), ("sweep", "mail"), ("topic", "dead"),
    ("queue", "dead"), ("events", "dead"), ("dead", "alarms"),
]  # fmt: skip
ALL_OF = ("Lambda::Function", "SNS::Topic", "SQS::Queue", "DynamoDB::Table", "StepFunctions::StateMachine")
COLOURS = {"S3": "#7aa116", "SNS": "#e7157b", "SQS": "#e7157b", "Lam": "#ed7100", "Dyn": "#c925d1", "Ste": "#e7157b"}


def digest() -> str:
    """Of what is drawn; the picture carries it, so that a picture of an older script is told."""
    return hashlib.sha256(repr((BOXES, ARROWS)).encode()).hexdigest()[:16]


def check(template: Any) -> None:
    """Raises AssertionError where boxes and template do not agree. ``template``: of ``aws_cdk.assertions``."""
    drawn: set[str] = set()
    for name, (_, _, _, resources) in BOXES.items():
        for kind, part in resources:
            found = {identifier for identifier in template.find_resources(kind) if part in identifier}
            assert found, f"the stack has no {kind} with {part} in its name: draw {name} anew"
            drawn |= found
    for kind in ALL_OF:
        missing = set(template.find_resources(f"AWS::{kind}")) - drawn
        assert not missing, f"no box shows {missing}"


def main() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from aws_cdk.assertions import Template

    from infra.app import make_app

    check(Template.from_stack(make_app().node.find_child("Production")))  # type: ignore[arg-type]
    figure, axes = plt.subplots(figsize=(15, 6), dpi=110)
    axes.set_xlim(-1.1, 13.1)
    axes.set_ylim(0.3, 4.5)
    axes.axis("off")
    patches = {}
    for name, (x, y, words, _) in BOXES.items():
        colour = COLOURS.get(words[:3].strip(), "#01a88d")
        box = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": colour, "linewidth": 2}
        text = axes.text(x * 2, y * 1.3, words, ha="center", va="center", fontsize=9, bbox=box)
        patches[name] = text.get_bbox_patch()
    figure.canvas.draw()  # only now the boxes know where they end
    for begin, end in ARROWS:
        (x0, y0), (x1, y1) = (BOXES[name][:2] for name in (begin, end))
        style = {"arrowstyle": "-|>", "color": "#555555", "lw": 1.4, "shrinkA": 3, "shrinkB": 3,
                 "patchA": patches[begin], "patchB": patches[end]}  # fmt: skip
        axes.annotate("", (x1 * 2, y1 * 1.3), (x0 * 2, y0 * 1.3), arrowprops=style)
    figure.savefig(PICTURE, bbox_inches="tight", metadata={"Description": digest()})


if __name__ == "__main__":
    main()
