"""How a command ends: errors in words, and the exit status."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import typer

from splatlib.errors import ConfigError, SplatlibError


@contextlib.contextmanager
def errors_told(out: Path | None) -> Iterator[None]:
    """Our own errors as a message without a traceback; of others, where the log lies."""
    started_s = time.time()
    try:
        yield
    except KeyboardInterrupt:
        again = f"; go on with: splat resume {shlex.quote(str(out))}" if out else ""
        typer.secho(f"interrupted{again}", err=True)
        raise typer.Exit(130) from None
    except SplatlibError as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        _tell_log(out, started_s)
        raise typer.Exit(2 if isinstance(error, ConfigError) else 1) from None
    except Exception:
        typer.secho("splatlib met an error that it does not know:", fg=typer.colors.RED, err=True)
        _tell_log(out, started_s)
        raise


def _tell_log(out: Path | None, started_s: float) -> None:
    """Name the log that was written last, if it was during this command."""
    logs = [path for path in (out / "logs").glob("*.log") if path.stat().st_mtime >= started_s] if out else []
    if logs:
        typer.secho(f"Log: {max(logs, key=lambda path: path.stat().st_mtime)}", err=True)
