"""The ``splat`` command: a thin layer over ``reconstruct``.

Exit status: 0 done, 1 something failed (of ``check``: or the capture will not reconstruct), 2 wrong usage or
configuration, 130 interrupted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from splatlib import pipeline
from splatlib._version import __version__
from splatlib.artifacts import Artifact, CaptureCheck, ExportBundle, FrameSet, MaskSet, SparseScene, Splat
from splatlib.commands import backend, comparison, delivery, jobs, notebook, prices, production, studio, training
from splatlib.commands.told import errors_told
from splatlib.config import Job
from splatlib.errors import ArtifactError, ConfigError
from splatlib.parameters import default_out
from splatlib.pipeline import Reconstruction, reconstruct, together
from splatlib.report import write_check_report
from splatlib.widgets.display import describe
from splatlib.workspace import Workspace

app = typer.Typer(
    help="From a video or photos to a 3D Gaussian splat.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(notebook.app, name="notebook")
app.add_typer(backend.app, name="backend")
app.add_typer(training.app, name="training")
app.add_typer(studio.app, name="studio")
app.add_typer(production.app, name="production")
app.add_typer(jobs.app, name="jobs")
app.add_typer(prices.app, name="prices")
app.command()(studio.doctor)
app.command()(comparison.compare)
app.command()(delivery.convert)
app.command()(jobs.submit)
app.command()(delivery.export)

WorkspaceArgument = Annotated[Path, typer.Argument(metavar="DIR", help="a workspace: the --out of an earlier run")]


def main() -> None:
    """Entry point of the ``splat`` command."""
    app(prog_name="splat")


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"splatlib {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="print the version and leave")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    capture: Annotated[
        list[str] | None,
        typer.Argument(help="videos, folders or zips of photos, or s3:// places of such; several become one capture"),
    ] = None,
    *,
    out: Annotated[Path | None, typer.Option(help="workspace (default: runs/NAME-OF-CAPTURE)")] = None,
    preset: Annotated[str | None, typer.Option(help="of training: preview, balanced, high or reference")] = None,
    device: Annotated[str | None, typer.Option(help="to train on: auto, cpu or cuda (default: auto)")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="e.g. train.steps=500; `splat schema` lists the fields"),
    ] = None,
    name: Annotated[str | None, typer.Option("--run", help="name of the training run (default: main)")] = None,
    job: Annotated[Path | None, typer.Option(help="start from this job.json; other options override it")] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="go on when few frames could be registered")
    ] = False,
) -> None:
    """Reconstruct a capture. What is done already and unchanged is reused."""
    with errors_told(out):
        settings: dict[str, object] = {
            "capture": capture or None,
            "train.preset": preset,
            "train.device": device,
            "run": name,
            "cameras.allow_partial": allow_partial or None,
        }
        base = _read_job(job) if job else Job.from_dict({"capture": _required(capture)})
        chosen = base.with_overrides({field: value for field, value in settings.items() if value is not None})
        chosen = chosen.with_overrides(overrides or [])
        out = out or default_out(chosen.sources)
    with errors_told(out), together() as leads:
        if leads:
            _tell(reconstruct(chosen, out))


@app.command()
def check(
    capture: Annotated[list[str], typer.Argument(help="as of run")],
    *,
    out: Annotated[Path | None, typer.Option(help="workspace (default: runs/NAME-OF-CAPTURE)")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="e.g. frames.max_frames=100"),
    ] = None,
) -> None:
    """Tell what will come of a capture and what to film again, before anything expensive.

    `splat run` with the same workspace goes on from here. Exit status 1: fewer than half of the frames are expected to
    find their place, or something failed.
    """
    with errors_told(out):
        job = Job.from_dict({"capture": _required(capture)}).with_overrides(overrides or [])
        out = out or default_out(job.sources)
    with errors_told(out):
        checked = pipeline.check(job, out)
        typer.echo(describe(checked))
        typer.echo(f"pictures: {write_check_report(checked)}")
    if checked.verdict == "bad":
        raise typer.Exit(1)


@app.command()
def resume(directory: WorkspaceArgument) -> None:
    """Go on with a run that was interrupted, or repeat one after its capture changed."""
    with errors_told(directory), together() as leads:
        if leads:
            _tell(reconstruct(Workspace.open(directory).load_job(), directory))


@app.command()
def show(directory: WorkspaceArgument) -> None:
    """List the stages of a workspace: what is done, how long it took and what came out."""
    with errors_told(directory):
        ws = Workspace.open(directory)
        typer.echo(f"{'stage':<14} {'state':<8} {'seconds':>8}  figures")
        for kind in (FrameSet, MaskSet, CaptureCheck, SparseScene):
            typer.echo(_stage_line(ws, kind, kind.stage))
        for training_run in ws.runs() or ["main"]:
            typer.echo(_stage_line(ws, Splat, f"train/{training_run}", training_run))
        typer.echo(_stage_line(ws, ExportBundle, ExportBundle.stage))
        report = ws.report_html_path
        typer.echo(f"report: {report if report.exists() else 'none yet'}")


@app.command()
def schema() -> None:
    """Print the JSON schema of a job."""
    typer.echo(json.dumps(Job.model_json_schema(), indent=2))


@app.command()
def sample(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="where to put it")],
    kind: Annotated[str, typer.Option(help="video or photos")] = "video",
) -> None:
    """Make a small sample capture of an invented scene, to try splatlib with."""
    from splatlib.samples import make_sample

    with errors_told(None):
        if kind not in ("video", "photos"):
            raise ConfigError(f"kind {kind!r} is not known", hint="video or photos")
        typer.echo(make_sample(directory, kind=kind).path)


def _stage_line(ws: Workspace, kind: type[Artifact], name: str, training_run: str = "main") -> str:
    try:
        artifact = ws.find(kind, training_run)
    except ArtifactError as error:
        return f"{name:<14} {'damaged':<8} {'':>8}  {error.why}"
    if artifact is not None:
        figures = describe(artifact).splitlines()[0].partition(": ")[2]
        return f"{name:<14} {'done':<8} {artifact.seconds:>8.1f}  {figures}"
    state = "started" if ws.is_started(kind, training_run) else "missing"
    return f"{name:<14} {state:<8} {'':>8}".rstrip()


def _tell(result: Reconstruction) -> None:
    typer.echo(str(result))


def _required(capture: list[str] | None) -> list[str]:
    if not capture:
        raise ConfigError("no capture was named", hint="splat run CAPTURE, or splat run --job job.json")
    return capture


def _read_job(path: Path) -> Job:
    try:
        return Job.from_json(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the job {path}", why=str(error)) from error
