"""``splat notebook run``: parameters are refused before the first cell, and what was executed is never lost."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from typer.testing import CliRunner

from splatlib.cli import app
from splatlib.errors import ConfigError, NotebookError
from splatlib.notebooks import run_notebook
from splatlib.notebooks.parameters import parameters_of, require_valid, values_from_text

CELL = """\
name: str | list = ""  # what
count = 3
rate = 0.5
fast = False
sizes = [1, 2]
mode: Literal["a", "b"] = "a"
place = Path("x")
"""
FOLDER = Path(__file__).parents[2] / "notebooks"


def notebook_of(*cells: str, parameters: str = "count = 3\n") -> Any:
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    others = [new_code_cell(cell) for cell in cells]
    return new_notebook(cells=[new_markdown_cell("# A title"), tagged, *others], metadata=metadata)


def written(path: Path, *cells: str, parameters: str = "count = 3\n") -> Path:
    nbformat.write(notebook_of(*cells, parameters=parameters), path)
    return path


def test_parameters_are_read_from_their_cell() -> None:
    known = parameters_of(notebook_of(parameters=CELL))
    assert {name: parameter.default for name, parameter in known.items()} == {
        **{"name": "", "count": 3, "rate": 0.5, "fast": False, "sizes": [1, 2], "mode": "a", "place": None}
    }
    assert [known[name].type for name in ("count", "rate", "fast", "sizes", "place")] == [int, float, bool, list, Any]
    assert parameters_of(new_notebook(cells=[new_code_cell("count = 3")])) == {}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("name", "bench.mov", "bench.mov"),
        ("name", "2024", "2024"),
        ("name", '["a.mov", "b"]', ["a.mov", "b"]),
        ("name", "[draft].mov", "[draft].mov"),
        ("count", "7", 7),
        ("rate", "1", 1),
        ("rate", "1e-3", 0.001),
        ("fast", "True", True),
        ("fast", "false", False),
        ("sizes", "[4]", [4]),
        ("mode", "b", "b"),
        ("place", "there", "there"),
        ("place", "5", 5),
    ],
)
def test_text_becomes_what_the_parameter_is(name: str, text: str, value: object) -> None:
    known = parameters_of(notebook_of(parameters=CELL))
    values = values_from_text(known, {name: text})
    assert values == {name: value} and type(values[name]) is type(value)
    require_valid(known, values)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", "many", "parameter count wants int, got 'many'"),
        ("count", True, "parameter count wants int, got True"),
        ("count", 1.5, "parameter count wants int, got 1.5"),
        ("count", "7", "parameter count wants int, got '7'"),
        ("rate", True, "parameter rate wants float, got True"),
        ("fast", 1, "parameter fast wants bool, got 1"),
        ("name", 5, r"parameter name wants str \| list, got 5"),
        ("mode", "c", r"parameter mode wants .*Literal\['a', 'b'\], got 'c'"),
        ("cuont", 5, r"unknown parameter: cuont \(did you mean count\?\)"),
    ],
)
def test_values_of_another_type_are_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        require_valid(parameters_of(notebook_of(parameters=CELL)), {name: value})


@pytest.mark.parametrize(("name", "text"), [("count", "many"), ("fast", "perhaps"), ("sizes", "4"), ("mode", "c")])
def test_text_that_fits_no_type_is_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"parameter {name} wants"):
        values_from_text(parameters_of(notebook_of(parameters=CELL)), {name: text})


@pytest.mark.parametrize(
    ("cell", "message"), [("x = (", "not valid Python"), ("x: Frog = 1", "the type Frog is not known")]
)
def test_a_parameters_cell_that_makes_no_sense_is_named(cell: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parameters_of(notebook_of(parameters=cell))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("reconstruct", {"capture": "x", "preset": "best"}, r"train\.preset: Input should be"),
        (
            "reconstruct",
            {"capture": "x", "overrides": "train.stepz=3"},
            r"train\.stepz: unknown field, did you mean steps",
        ),
        ("reconstruct", {}, "capture: the path of a source is empty"),
        ("06_sagemaker", {"overrides": {"train.stepz": 3}}, r"train\.stepz: unknown field, did you mean steps"),
        ("00_quickstart", {"training": {"stepz": 3}}, "stepz: unknown field, did you mean steps"),
        ("00_quickstart", {"training": {"steps": 0}}, "steps: Input should be greater than"),
    ],
)
def test_the_projects_own_notebooks_check_what_describes_a_job(name: str, values: dict[str, Any], message: str) -> None:
    known = parameters_of(nbformat.read(FOLDER / f"{name}.ipynb", as_version=4))
    with pytest.raises(ConfigError, match=message):
        require_valid(known, values)


def test_all_defaults_of_the_projects_notebooks_are_valid() -> None:
    for path in FOLDER.glob("*.ipynb"):
        known = parameters_of(nbformat.read(path, as_version=4))
        assert known, path
        values = {name: p.default for name, p in known.items() if p.default is not None}
        require_valid(known, {**values, "capture": "x"} if "capture" in known else values)


PICTURE = "from PIL import Image\nImage.new('RGB', (8, 8), (200, 30, 30))"
LINK = "from IPython.display import HTML\nHTML('<a href=\"https://example.org/paper\">a link may stay</a>')"


def test_a_run_leaves_the_notebook_and_a_page_without_network(tmp_path: Path) -> None:
    source = written(
        tmp_path / "small.ipynb", "import os\nprint(count * 2, os.environ['SPLATLIB_PROGRESS'])", PICTURE, LINK
    )
    before = source.read_bytes()
    done = run_notebook(source, {"count": 21}, tmp_path / "out")
    assert source.read_bytes() == before
    assert done.notebook == tmp_path / "out" / "small.ipynb" and done.html == tmp_path / "out" / "small.html"
    executed = nbformat.read(done.notebook, as_version=4)
    printed = "".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", []))
    assert printed == "42 text\n"
    page = done.html.read_text()
    assert "42 text" in page and "data:image/png;base64," in page and "A title" in page
    assert not re.findall(r"<(?:script|img|iframe)[^>]*src=.(?:https?:)?//", page)
    assert not re.findall(r"<link[^>]*href=.(?:https?:)?//|@import|url\(.?https?:|import .* from .https?:", page)


def test_a_failing_cell_is_named_and_what_was_done_is_kept(tmp_path: Path) -> None:
    source = written(tmp_path / "bad.ipynb", "print('so far')", "value = count\n1 / (value - 3)", "print('never')")
    with pytest.raises(NotebookError) as caught:
        run_notebook(source, out=tmp_path / "out.ipynb")
    assert caught.value.what == "bad.ipynb: the cell In [3], 'value = count' and more failed"
    assert caught.value.why == "ZeroDivisionError: division by zero"
    assert str(tmp_path / "out.ipynb") in caught.value.hint and str(tmp_path / "out.html") in caught.value.hint
    text = (tmp_path / "out.ipynb").read_text()
    assert "so far" in text and "ZeroDivisionError" in text
    page = (tmp_path / "out.html").read_text()
    assert "so far" in page and "ZeroDivisionError" in page


def test_a_kernel_that_dies_leaves_what_it_did(tmp_path: Path) -> None:
    source = written(tmp_path / "dies.ipynb", "print('so far')", "import os\nos._exit(9)", "print('never')")
    with pytest.raises(NotebookError, match="the kernel died in the cell that begins 'import os'"):
        run_notebook(source, out=tmp_path / "out")
    assert "so far" in (tmp_path / "out" / "dies.html").read_text()


def splat(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["notebook", "run", *arguments])


def test_the_command_takes_parameters_in_both_forms(tmp_path: Path) -> None:
    source = written(tmp_path / "small.ipynb", "print(count, word)", parameters="count = 1\nword = ''\n")
    done = splat(str(source), "-p", "count", "-5", "-p", "word=a=b", "--out", str(tmp_path / "done.ipynb"))
    assert done.exit_code == 0, done.output
    assert done.stdout == f"notebook: {tmp_path / 'done.ipynb'}\npage: {tmp_path / 'done.html'}\n"
    assert "-5 a=b" in (tmp_path / "done.ipynb").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "cuont", "3"], "unknown parameter: cuont (did you mean count?)"),
        (["-p", "count", "many"], "parameter count wants int, got 'many'"),
        (["-p", "count"], "parameter count has no value"),
        (["--kernel", "no-such-kernel"], "there is no Jupyter kernel 'no-such-kernel'"),
    ],
)
def test_wrong_usage_is_told_before_anything_runs(arguments: list[str], message: str, tmp_path: Path) -> None:
    source = written(tmp_path / "small.ipynb", f"open({str(tmp_path / 'ran')!r}, 'w')")
    done = splat(str(source), "--out", str(tmp_path / "out"), *arguments)
    assert done.exit_code == 2 and message in done.stderr
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out" / "small.html").exists()


def test_files_that_are_no_notebooks(tmp_path: Path) -> None:
    (tmp_path / "text.ipynb").write_text("hello")
    (tmp_path / "other.ipynb").write_text(json.dumps({"a": 1}))
    for name, message in {
        "absent.ipynb": "cannot read the notebook",
        "text.ipynb": "is no Jupyter notebook",
        "other.ipynb": "is no Jupyter notebook",
    }.items():
        with pytest.raises(ConfigError, match=message):
            run_notebook(tmp_path / name, out=tmp_path / "out")
    source = written(tmp_path / "small.ipynb")
    with pytest.raises(ConfigError, match="is the notebook itself"):
        run_notebook(source, out=source)
