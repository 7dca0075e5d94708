"""Every python block of the pages, the README and the notebooks runs as printed, one page in one namespace, without a
network.

A line that is an expression with a comment behind it, such as `len(out)  # 2`, must also answer what the comment says
(`...` stands for anything, as in doctest). Comments on lines of their own are prose. Blocks for the shell that say so
(`sh`) run too. What the pages take from the Hub is there, as a toy.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import toy_writer
from fake_hub import TOKEN, FakeHub

ROOT = Path(__file__).parent.parent.parent
RUNNER = Path(__file__).parent / "blocks.py"
BLOCK = re.compile(r"^```python\n.*?^```$", re.DOTALL | re.MULTILINE)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DOCS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
PAGES = [path for path in DOCS if BLOCK.search(path.read_text())]


CHATTER = "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables for a process without a network, whose cache of the Hub holds what the pages take from there."""
    repository = tmp_path / "hub" / "hub" / f"models--{CHATTER.replace('/', '--')}"
    toy_writer.write(repository / "snapshots" / "toy")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("toy")
    return {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hub"),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
    }


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """An empty folder to run in."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


SHARING = ROOT / "docs" / "sharing.md"


def run_blocks(page: Path, environment: dict[str, str], work: Path) -> None:
    done = subprocess.run(
        [sys.executable, RUNNER, page], cwd=work, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if page != SHARING], ids=lambda path: path.name)
def test_blocks_run_and_answer_as_printed(page: Path, environment: dict[str, str], work: Path) -> None:
    run_blocks(page, environment, work)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_run_and_answer_as_written(notebook: Path, environment: dict[str, str], tmp_path: Path) -> None:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells), "clear the outputs: they are those of one machine"
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    page = tmp_path / f"{notebook.stem}.md"
    page.write_text("".join(f"```python\n{cell}\n```\n" for cell in code), "utf-8")
    run_blocks(page, environment, notebook.parent)


def test_sharing_goes_to_a_hub_and_back(environment: dict[str, str], work: Path, tmp_path: Path) -> None:
    with FakeHub() as hub:
        asked = hub.environment(tmp_path / "home") | {"HF_HUB_OFFLINE": "0", "HF_TOKEN": TOKEN}
        run_blocks(SHARING, environment | asked, work)
    (files,) = [repo.commits[repo.revisions["main"]] for repo in hub.repositories.values()]
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= files.keys()


def test_lines_for_the_shell_run(environment: dict[str, str], work: Path, tmp_path: Path) -> None:
    command = tmp_path / "bin" / "jaxformers"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m jaxformers "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join([str(command.parent), environment["PATH"]])
    (script,) = [script for page in DOCS for script in SHELL.findall(page.read_text())]
    done = subprocess.run(
        ["sh", "-ec", script],
        cwd=work,
        env=environment | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "POSITIVE" in done.stdout
    assert "compile cache" in done.stdout  # of the last command


def test_every_block_of_the_tour_is_run() -> None:
    text = (ROOT / "docs" / "quicktour.md").read_text()
    fences = re.findall(r"^```(.*)$", text, re.MULTILINE)
    assert set(fences[::2]) == {"python", "sh"}


def test_there_are_pages_with_blocks() -> None:
    assert NOTEBOOKS
    assert {"README.md", "quicktour.md"} <= {page.name for page in PAGES}


def test_links_between_pages_lead_somewhere() -> None:
    wrong = []
    for page in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                wrong.append(f"{page.name}: {target}")
    assert not wrong


def test_generated_files_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
