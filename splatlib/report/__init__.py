"""``write_report``: the numbers and pictures of a run, for programs and for people; the capture check likewise."""

from __future__ import annotations

import json
from pathlib import Path

from splatlib.artifacts import CaptureCheck
from splatlib.files import os_errors_translated, write_atomically
from splatlib.progress import logger
from splatlib.report.comparison import Comparison as Comparison
from splatlib.report.comparison import compare_runs as compare_runs
from splatlib.report.comparison import write_comparison as write_comparison
from splatlib.report.numbers import Run, report_document
from splatlib.workspace import Workspace


def write_check_report(check: CaptureCheck, path: str | Path | None = None) -> Path:
    """Write a capture check as one HTML file that needs no other and no network.

    Args:
        path: where to; by default ``check.html`` in the check's workspace.

    Raises:
        ArtifactError: a picture that it shows is gone.
        WorkspaceError: the page cannot be written.
    """
    from splatlib.report.checkup import check_page

    ws = Workspace.open(check.directory.parent)
    path = ws.check_html_path if path is None else Path(path).expanduser()
    page = check_page(ws, check)
    with os_errors_translated(path.parent):
        write_atomically(path, page)
    return path


def write_report(ws: Workspace, run: str = "main") -> Path:
    """Write ``report.json`` and ``report.html`` of a training run; the page needs no other file and no network.

    Args:
        ws: a workspace with frames, cameras and a splat; masks and exports are shown where present.
        run: name of the training run.

    Returns:
        Path of the page.

    Raises:
        ArtifactError: a stage is missing, or one of its pictures.
        WorkspaceError: the report cannot be written.
    """
    from splatlib.report.page import report_page

    loaded = Run.load(ws, run)
    document = report_document(loaded)
    page = report_page(loaded, document)
    with os_errors_translated(ws.root):
        write_atomically(ws.report_json_path, json.dumps(document, indent=2, allow_nan=False) + "\n")
        write_atomically(ws.report_html_path, page)
    logger.debug("report: %s, %.1f MB", ws.report_html_path, len(page) / 1e6)
    return ws.report_html_path
