"""Every python block of the pages and the README runs as printed, one page in one namespace, without a network.

A line that is an expression with a comment behind it, such as `len(out)  # 2`, must also answer what the comment says
(`...` stands for anything, as in doctest). Comments on lines of their own are prose.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
RUNNER = Path(__file__).parent / "blocks.py"
BLOCK = re.compile(r"^```python\n.*?^```$", re.DOTALL | re.MULTILINE)
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if BLOCK.search(path.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_blocks_run_and_answer_as_printed(page: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hub"),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
    }
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, RUNNER, page], cwd=work, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_pages_with_blocks() -> None:
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
