"""What docs/ says of the production stack is what the stack is: alarms and runbook, picture, cost table."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("cdk_nag", reason="the requirements of infra are not installed: make infra-install")

from aws_cdk.assertions import Template  # pyright: ignore[reportMissingImports]
from PIL import Image

from docs import production_cost, production_picture
from infra.app import make_app
from tests.infra.driven import chapters_of_alarms

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def template() -> Template:
    return Template.from_stack(make_app().node.find_child("Production"))  # type: ignore[arg-type]


def test_every_alarm_has_its_chapter_in_the_runbook_and_no_chapter_is_of_none(template: Template) -> None:
    alarms = template.find_resources("AWS::CloudWatch::Alarm").values()
    names = {alarm["Properties"]["AlarmName"].removeprefix("splatlib-") for alarm in alarms}
    assert names == chapters_of_alarms() and len(names) == production_cost.ALARMS
    for alarm in alarms:
        name = alarm["Properties"]["AlarmName"].removeprefix("splatlib-")
        assert f'docs/runbook.md, {name}"' in json.dumps(alarm["Properties"]["AlarmDescription"])


def test_the_runbook_names_log_groups_and_queues_that_exist(template: Template) -> None:
    text = (DOCS / "runbook.md").read_text()
    groups = {g["Properties"]["LogGroupName"] for g in template.find_resources("AWS::Logs::LogGroup").values()}
    queues = {q["Properties"]["QueueName"] for q in template.find_resources("AWS::SQS::Queue").values()}
    named_groups = {f"/splatlib/{name}" for name in re.findall(r"`/S/([a-z-]+)`", text)}
    named_queues = {f"splatlib-{name}" for name in re.findall(r"`S-((?:[a-z]+-dead)|intake)`", text)}
    assert named_groups and named_groups <= groups and named_queues and named_queues <= queues


def test_the_picture_is_of_this_stack(template: Template) -> None:
    production_picture.check(template)
    with Image.open(production_picture.PICTURE) as picture:
        assert picture.info["Description"] == production_picture.digest(), "run: python docs/production_picture.py"


def test_the_cost_table_is_up_to_date() -> None:
    page = production_cost.PAGE.read_text()
    assert page == production_cost.with_table(page), "run: python docs/production_cost.py"
    # the guidance's own sum
    assert sum(production_cost.GUIDANCE.values()) == pytest.approx(278.33)
