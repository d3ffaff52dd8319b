"""``splat production``: what runs in a deployed stack, and how to steer it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from splatlib.commands.told import errors_told

app = typer.Typer(help="Jobs of a stack that was deployed on AWS.", no_args_is_help=True)

Stack = Annotated[str, typer.Option(help="name of the deployed stack")]
Region = Annotated[str | None, typer.Option(help="of the stack (default: AWS_REGION)")]
Name = Annotated[str, typer.Argument(metavar="JOB", help="name of the submission")]


@app.command()
def submit(
    capture: Annotated[list[str], typer.Argument(help="as of `splat run`")],
    *,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="e.g. train.preset=balanced")
    ] = None,
    name: Annotated[str | None, typer.Option(help="of the submission (default: made from the capture's)")] = None,
    instance: Annotated[str | None, typer.Option(help="one of the stack's, e.g. ml.g6e.xlarge")] = None,
    spot: Annotated[bool | None, typer.Option(help="spare capacity: cheaper, may wait")] = None,
    stack: Stack = "splatlib",
    region: Region = None,
) -> None:
    """Upload a capture and a job."""
    from splatlib.config import Job
    from splatlib.launch.production import Production

    with errors_told(None):
        job = Job.from_dict({"capture": capture}).with_overrides(overrides or [])
        handle = Production(stack, region, instance, spot).submit(job, name)
        typer.echo(handle.name)


@app.command()
def status(name: Name, stack: Stack = "splatlib", region: Region = None) -> None:
    """Print all that the stack knows of a submission."""
    from splatlib.launch.production import Production

    with errors_told(None):
        typer.echo(Production(stack, region).attach(name).summary())


@app.command("list")
def list_jobs(
    *,
    only: Annotated[str | None, typer.Option("--status", help="only these, e.g. failed")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="at most so many, the latest first")] = 20,
    stack: Stack = "splatlib",
    region: Region = None,
) -> None:
    """List submissions, the latest first."""
    from splatlib.launch.production import Production

    with errors_told(None):
        for handle in Production(stack, region).jobs(only, limit):
            record = handle.record()
            when = datetime.datetime.fromtimestamp(record["submitted_s"], datetime.UTC)
            cost = f"${record['cost_usd']:.3f}" if record.get("cost_usd") is not None else ""
            psnr = f"{record['psnr_db']:.1f} dB" if record.get("psnr_db") is not None else ""
            typer.echo(f"{when:%Y-%m-%d %H:%M}  {record['status']:<10} {psnr:>8} {cost:>8}  {handle.name}")


@app.command()
def cancel(name: Name, stack: Stack = "splatlib", region: Region = None) -> None:
    """Cancel a submission that waits or runs."""
    from splatlib.launch.production import Production

    with errors_told(None):
        handle = Production(stack, region).attach(name)
        before = handle.status()
        handle.stop()
        typer.echo(f"{name} had ended before: {before.detail}" if before.ended else f"{name} is being cancelled")


@app.command()
def rerun(
    name: Name,
    new_name: Annotated[str | None, typer.Option("--name", help="of the new submission (default: JOB-r2, …)")] = None,
    stack: Stack = "splatlib",
    region: Region = None,
) -> None:
    """Submit the same job again, under a new name."""
    from splatlib.launch.production import Production

    with errors_told(None):
        typer.echo(Production(stack, region).attach(name).rerun(new_name).name)


@app.command()
def logs(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="until it has ended")] = False,
    stack: Stack = "splatlib",
    region: Region = None,
) -> None:
    """Print what the training jobs of a submission wrote."""
    from splatlib.launch.production import Production

    with errors_told(None):
        handle = Production(stack, region).attach(name)
        lines = 0
        for line in handle.logs(follow):
            typer.echo(line)
            lines += 1
        if not lines:
            typer.echo(f"no training of {name} has written a line: it is {handle.status().detail}", err=True)


@app.command()
def fetch(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="workspace (default: runs/JOB)")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="the whole workspace, not only results")] = False,
    stack: Stack = "splatlib",
    region: Region = None,
) -> None:
    """Bring the results here."""
    from splatlib.launch.production import Production

    with errors_told(None):
        typer.echo(Production(stack, region).attach(name).fetch(out, everything))
