"""A real Chromium, a real JupyterLab, pages from disk; tests are skipped, with the reason, where one is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.labserver import running_lab
from tests.browser.pages import FLAGS, Lab, Watched


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


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab of this environment on a free port, in a folder of its own, with this checkout on its path."""
    pytest.importorskip("jupyterlab")
    pytest.importorskip("anywidget")
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab
