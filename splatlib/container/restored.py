"""A workspace that came back from S3: stages whose files did not all arrive are done again."""

from __future__ import annotations

import json
from pathlib import Path

from splatlib.artifacts import ARTIFACT_FILE
from splatlib.files import os_errors_translated, write_atomically
from splatlib.progress import logger
from splatlib.stage import STARTED_FILE


def discard_torn_stages(workspace: Path) -> list[str]:
    """Take the mark of being done from each stage that lacks files, and say so.

    On a disk the mark is written last. SageMaker copies a checkpoint folder file by file, in an order that it does not
    state: of an instance that vanished the mark may have been copied and a picture not.

    Returns:
        The stages.
    """
    torn = []
    with os_errors_translated(workspace):
        for marker in sorted([*workspace.glob(f"*/{ARTIFACT_FILE}"), *workspace.glob(f"train/*/{ARTIFACT_FILE}")]):
            missing = _missing(marker)
            if missing:
                stage = str(marker.parent.relative_to(workspace))
                logger.warning("%s: %d files did not come back, e.g. %s; done again", stage, len(missing), missing[0])
                # marked as begun, by a digest that nothing is resumed from: the stage empties its folder
                write_atomically(marker.with_name(STARTED_FILE), json.dumps({"schema": 1, "digest": ""}))
                marker.unlink()
                torn.append(stage)
    return torn


def _missing(marker: Path) -> list[str]:
    """Files that the mark names and that are not there, or not whole. A damaged mark is the stage's own business."""
    try:
        sizes = json.loads(marker.read_text()).get("files", {})
    except ValueError:
        return []
    paths = {name: marker.parent / name for name in sizes}
    return [name for name, path in paths.items() if not path.is_file() or path.stat().st_size != sizes[name]]
