"""The commands ``splat submit`` and ``splat jobs …``: jobs elsewhere, by the launchers' handles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from splatlib.commands.told import errors_told
from splatlib.config import Job
from splatlib.errors import ConfigError
from splatlib.launch import JobHandle, JobStatus, Launcher, LocalProcess, SageMaker
from splatlib.report import write_report
from splatlib.workspace import Workspace

PLACES = ("here", "sagemaker")
Where = Annotated[str, typer.Option("--on", help="here (a child process), or sagemaker")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="of the job: see `splat jobs list`")]
Region = Annotated[str | None, typer.Option(help="of AWS (default: as boto3 finds it)")]

app = typer.Typer(help="Follow, stop and fetch jobs that were submitted.", no_args_is_help=True)


def launcher_for(where: str, **settings: Any) -> Launcher:
    """The launcher of a name, with those settings that are not None. Raises ConfigError."""
    chosen = {name: value for name, value in settings.items() if value is not None}
    if where == "sagemaker":
        return SageMaker(**chosen)
    if where != "here":
        raise ConfigError(f"there is no place {where!r} for jobs", hint=f"known are {', '.join(PLACES)}")
    if chosen:
        raise ConfigError(f"{', '.join(chosen)} is for --on sagemaker", hint="leave it out, or add --on sagemaker")
    return LocalProcess()


def submit(
    capture: Annotated[list[str] | None, typer.Argument(help="as of run")] = None,
    *,
    where: Where = "sagemaker",
    preset: Annotated[str | None, typer.Option(help="of training: preview, balanced, high or reference")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="as of run")] = None,
    job: Annotated[Path | None, typer.Option(help="start from this job.json; other options override it")] = None,
    name: Annotated[str | None, typer.Option(help="of the job (default: made from the capture's)")] = None,
    instance: Annotated[str | None, typer.Option(help="e.g. ml.g6.xlarge (default: by the preset)")] = None,
    image: Annotated[str | None, typer.Option(help="container image (default: SPLATLIB_IMAGE)")] = None,
    role: Annotated[str | None, typer.Option(help="of the job (default: SPLATLIB_ROLE, or Studio's own)")] = None,
    bucket: Annotated[str | None, typer.Option(help="(default: SageMaker's default bucket)")] = None,
    region: Region = None,
    spot: Annotated[bool | None, typer.Option("--spot/--on-demand", help="(default: spot)")] = None,
    budget: Annotated[float | None, typer.Option(help="refuse a job that may cost more dollars")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="tell what it would cost, and leave")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="show its lines until it has ended")] = False,
) -> None:
    """Run a reconstruction elsewhere: as a SageMaker training job, or as a child process here."""
    with errors_told(None):
        chosen = _job(capture, job, preset, overrides)
        settings = {"instance": instance, "image": image, "role": role, "bucket": bucket, "region": region}
        launcher = launcher_for(where, **settings, spot=spot, budget_usd=budget)
        if isinstance(launcher, SageMaker):
            typer.echo(launcher.estimate(chosen))
        if estimate:
            return
        handle = launcher.submit(chosen, name)
        typer.echo(f"job: {handle.name}")  # first, so that it can be found again whatever becomes of this terminal
        if follow:
            _follow(handle)


def _job(capture: list[str] | None, job: Path | None, preset: str | None, overrides: list[str] | None) -> Job:
    if not capture and job is None:
        raise ConfigError("no capture was named", hint="splat submit CAPTURE, or splat submit --job job.json")
    try:
        base = Job.from_json(job.read_text()) if job else Job.from_dict({"capture": capture})
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the job {job}", why=str(error)) from error
    settings = {"capture": capture or None, "train.preset": preset}
    chosen = base.with_overrides({field: value for field, value in settings.items() if value is not None})
    return chosen.with_overrides(overrides or [])


def _follow(handle: JobHandle) -> None:
    for line in handle.logs(follow=True):
        typer.echo(line)
    typer.echo(_in_words(handle.wait()))


def _in_words(status: JobStatus) -> str:
    parts = [status.state]
    if status.detail and status.detail.lower() not in (status.state, "completed"):
        parts.append(status.detail)
    if status.seconds is not None:
        parts.append(f"{status.seconds:.0f} s")
    if status.billable_seconds is not None:
        parts.append(f"{status.billable_seconds} s billed")
    if status.cost_usd is not None:
        parts.append(f"${status.cost_usd:.3f}")
    return ", ".join(parts) + (f"\n{status.reason}" if status.reason else "")


@app.command("list")
def list_jobs(where: Where = "sagemaker", region: Region = None) -> None:
    """All jobs there, the latest first."""
    with errors_told(None):
        for handle in launcher_for(where, region=region).jobs():
            typer.echo(f"{handle.name}  {_in_words(handle.status()).splitlines()[0]}")


@app.command()
def status(name: Name, where: Where = "sagemaker", region: Region = None) -> None:
    """Where a job stands, what it took and cost."""
    with errors_told(None):
        typer.echo(_in_words(launcher_for(where, region=region).attach(name).status()))


@app.command()
def logs(
    name: Name,
    where: Where = "sagemaker",
    region: Region = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="until it has ended")] = False,
) -> None:
    """The container's lines."""
    with errors_told(None):
        for line in launcher_for(where, region=region).attach(name).logs(follow):
            typer.echo(line)


@app.command()
def stop(name: Name, where: Where = "sagemaker", region: Region = None) -> None:
    """Ask a job to stop; it saves a checkpoint first."""
    with errors_told(None):
        launcher_for(where, region=region).attach(name).stop()
        typer.echo("asked to stop")


@app.command()
def fetch(
    name: Name,
    out: Annotated[Path, typer.Option(help="a workspace here")],
    where: Where = "sagemaker",
    region: Region = None,
    everything: Annotated[bool, typer.Option("--all", help="all stages, not only exports and report")] = False,
) -> None:
    """Bring a job's results into a workspace here."""
    with errors_told(None):
        folder = launcher_for(where, region=region).attach(name).fetch(out, everything)
        if everything:
            ws = Workspace.open(folder)
            write_report(ws, run=ws.load_job().run)  # with what the job cost
        typer.echo(folder)
