"""``run_notebook``: papermill around a notebook, with parameters checked first and failures in words."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splatlib.errors import ConfigError, MissingDependencyError, NotebookError
from splatlib.files import os_errors_translated
from splatlib.notebooks.parameters import parameters_of, require_valid, values_from_text
from splatlib.progress import in_notebook, mode
from splatlib.widgets.offline import write_offline_html

# The kernel of the environment that runs this code: the one that holds this splatlib.
OWN_KERNEL = "python3"
# ipykernel 7 warns at each start that it talks over TCP, which in a sweep stands between the results.
_QUIET_KERNEL = ["--IPKernelApp.log_level=ERROR"]


@dataclass(frozen=True)
class ExecutedNotebook:
    """What a batch run leaves: the notebook with its outputs, and the same as a page for any browser."""

    notebook: Path
    html: Path
    seconds: float

    def __str__(self) -> str:
        return f"notebook: {self.notebook}\npage: {self.html}"


def run_notebook(
    notebook: str | Path,
    parameters: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    *,
    texts: Mapping[str, str] | None = None,
    kernel: str = OWN_KERNEL,
) -> ExecutedNotebook:
    """Execute a notebook with other parameters.

    Args:
        notebook: is not changed.
        parameters: by name; the others keep the values of the notebook's ``parameters`` cell.
        out: the executed notebook, ``….ipynb``, or a folder for it (default: ``runs/notebooks``); the page lies beside.
        texts: more parameters, as text: what the type of each makes of it.
        kernel: the name of an installed Jupyter kernel.

    Raises:
        ConfigError: the notebook cannot be read, or a parameter is unknown, of the wrong type, or not valid. Nothing
            was run.
        NotebookError: a cell failed or its kernel died. What was executed so far is kept, as notebook and as page.
        MissingDependencyError: papermill is not installed.
    """
    source = Path(notebook)
    document = _read(source)
    known = parameters_of(document)
    chosen = {**(parameters or {}), **values_from_text(known, texts or {})}
    require_valid(known, chosen)
    target = _target(source, out)
    started_s = time.perf_counter()
    with os_errors_translated(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _text_bars():
        _execute(source, target, chosen, kernel)
    page = _page_of(target)
    return ExecutedNotebook(target, page, time.perf_counter() - started_s)


def _read(source: Path) -> Any:
    import nbformat

    try:
        return nbformat.read(source, as_version=4)
    except OSError as error:
        raise ConfigError(f"cannot read the notebook {source}", why=error.strerror or str(error)) from error
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError, AttributeError) as error:
        raise ConfigError(f"{source} is no Jupyter notebook", why=str(error).splitlines()[0]) from error


def _target(source: Path, out: str | Path | None) -> Path:
    target = Path("runs/notebooks") if out is None else Path(out).expanduser()
    if target.suffix != ".ipynb":
        target = target / source.name
    if target.exists() and target.samefile(source):
        raise ConfigError(f"{target} is the notebook itself", hint="name another --out")
    return target


@contextlib.contextmanager
def _text_bars() -> Iterator[None]:
    """The kernel takes its environment from here; a widget bar would be blank in the page."""
    before = os.environ.get("SPLATLIB_PROGRESS")
    os.environ["SPLATLIB_PROGRESS"] = "off" if before == "off" else "text"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SPLATLIB_PROGRESS"]
        else:
            os.environ["SPLATLIB_PROGRESS"] = before


@contextlib.contextmanager
def _no_doubts_about_parameters() -> Iterator[None]:
    """papermill cannot read an annotation ``str | list`` and calls it unknown; all are checked already."""
    papermill_log = logging.getLogger("papermill")
    papermill_log.addFilter(_is_no_doubt)
    try:
        yield
    finally:
        papermill_log.removeFilter(_is_no_doubt)


def _is_no_doubt(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Passed unknown parameter")


def _execute(source: Path, target: Path, parameters: Mapping[str, Any], kernel: str) -> None:
    """Raises NotebookError, MissingDependencyError, ConfigError for a kernel that is not installed."""
    try:
        import papermill
        from jupyter_client.kernelspec import NoSuchKernel
        from nbclient.exceptions import DeadKernelError
        from papermill.exceptions import PapermillExecutionError
    except ImportError as error:
        raise MissingDependencyError(
            "running notebooks needs papermill", why=str(error), hint="pip install -e '.[notebook]'"
        ) from error
    shows_bar = mode() != "off" and not in_notebook()  # a sweep inside a notebook prints its own lines
    options = {"kernel_name": kernel, "progress_bar": shows_bar, "extra_arguments": _QUIET_KERNEL}
    try:
        with _no_doubts_about_parameters():
            papermill.execute_notebook(str(source), str(target), dict(parameters), **options)
    except PapermillExecutionError as error:
        raise _cell_failed(source, target, error) from error
    except DeadKernelError as error:
        raise _kernel_died(source, target, error) from error
    except NoSuchKernel as error:
        raise ConfigError(
            f"there is no Jupyter kernel {kernel!r}", hint="jupyter kernelspec list names them"
        ) from error


def _cell_failed(source: Path, target: Path, error: Any) -> NotebookError:
    first, *more = [line for line in error.source.splitlines() if line.strip()] or [""]
    cell = f"In [{error.exec_count}], {first.strip()!r}{' and more' if more else ''}"
    return NotebookError(
        f"{source.name}: the cell {cell} failed", why=f"{error.ename}: {error.evalue}", hint=_kept(target)
    )


def _kernel_died(source: Path, target: Path, error: Exception) -> NotebookError:
    import nbformat

    begun = [cell for cell in nbformat.read(target, as_version=4).cells if cell.metadata.papermill.start_time]
    first = begun[-1].source.strip().splitlines()[0] if begun else ""
    return NotebookError(
        f"{source.name}: the kernel died in the cell that begins {first!r}",
        why=f"{error}; often the machine ran out of memory",
        hint=_kept(target),
    )


def _page_of(target: Path) -> Path:
    return write_offline_html(target, target.with_suffix(".html"))


def _kept(target: Path) -> str:
    return f"what was executed so far is in {target} and {_page_of(target)}"
