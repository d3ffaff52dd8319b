"""A real Chromium, a real JupyterLab, pages from disk; tests are skipped, with the reason, where one is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.labserver import STUDIO_LAB, running_lab, running_studio_lab
from tests.browser.pages import FLAGS, HERE, ROOM, Lab, Notebook, Watched


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """The browser of Debian, with WebGL2 drawn by the processor.

    It ends with this folder's tests: while it is open, Playwright's event loop runs in this thread, and a test
    elsewhere could not start one of its own.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("there is no Chromium (apt-get install chromium)")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Watched]:
    """A page whose errors fail the test, and whose requests are counted."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    watched = Watched(context.new_page())
    yield watched
    context.close()
    assert watched.errors == []


@pytest.fixture
def offline_page(chromium: Any) -> Iterator[Watched]:
    """A page without any network: only files and what they carry."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900}, offline=True)
    watched = Watched(context.new_page())
    yield watched
    context.close()
    assert watched.errors == []
    assert watched.requests == []


@pytest.fixture(scope="package", params=[HERE, "Studio's JupyterLab"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab on a free port, in a folder of its own, whose kernels have this checkout on their path.

    That of this environment, with ipykernel 7; and what SageMaker Studio has, JupyterLab 4.5 in an environment of its
    own and ipykernel 6.
    """
    pytest.importorskip("jupyterlab")
    pytest.importorskip("anywidget")
    is_studio = request.param != HERE
    if is_studio and not (STUDIO_LAB / ".installed").exists():
        pytest.skip(f"there is no JupyterLab 4.5 in {STUDIO_LAB} (make lab45)")
    running = running_studio_lab if is_studio else running_lab
    with running(tmp_path_factory.mktemp("studio" if is_studio else "lab")) as lab:
        yield lab


@pytest.fixture(scope="package")
def notebook(lab: Lab, chromium: Any) -> Iterator[Notebook]:
    """An open notebook that knows ``np``, ``sl``, ``room`` and ``gaussians``; tests take their cells away again."""
    context = chromium.new_context(viewport={"width": 1300, "height": 950})
    notebook = Notebook(lab, Watched(context.new_page()), "tests.ipynb", ROOM)
    yield notebook
    context.close()
    assert notebook.watched.errors == []


@pytest.fixture
def show(notebook: Notebook) -> Iterator[Callable[[str], Any]]:
    """Shows a view in a cell of its own, until the test's end."""
    cells = []

    def shown(code: str) -> Any:
        cells.append(notebook.show(code))
        return cells[-1]

    yield shown
    for _ in cells:
        notebook.forget()
