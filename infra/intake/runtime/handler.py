"""The trigger Lambda: SQS messages with S3's events, each handled alone and, if it failed, delivered again alone."""

from __future__ import annotations

import logging
from typing import Any

from infra.intake.runtime.events import uploads_of
from infra.intake.runtime.intake import take
from infra.runtime.parameters import settings

logger = logging.getLogger(__name__)
logging.getLogger().setLevel(logging.INFO)


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Returns the messages to deliver again; after ten times they go to the dead-letter queue, which rings."""
    failed = []
    for message in event["Records"]:
        try:
            for upload in uploads_of(message["body"]):
                take(upload, settings())
        except Exception:  # whatever it was, the other messages are not its business
            logger.exception("the message %s will be delivered again", message["messageId"])
            failed.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failed}
