"""Which files of architectures import another's: what two share stands in `layers/` or `sizes.py`."""

from __future__ import annotations

import ast
from pathlib import Path

import jaxformers.models

FOLDER = Path(jaxformers.models.__file__).parent

RELATIVES = {
    "bert_generation": "bert",  # no segments, and a head
    "codegen": "gptj",  # one projection in place of three
    "cohere2": "cohere",  # layers that see a window
    "ernie": "bert",  # a table of tasks
    "ernie4_5": "helium",  # biases
    "flaubert": "xlm",  # norms before the layers, where the config says so
    "gemma3_text": "gemma2",  # norms of heads, and a rotation for each kind of layer
    "glm4": "glm",  # two norms more
    "granitemoe": "granite",  # experts
    "luke": "roberta",  # arrays for entities, which words do not need
    "ministral": "mistral",  # a kind for each layer
    "mixtral": "mistral",  # experts
    "olmo3": "olmo2",  # a kind for each layer
    "qwen3": "qwen2",  # norms of heads in place of biases
    "splinter": "bert",  # a head
}
"""The architectures that are another one and a little more → that one."""


def imported(path: Path) -> set[str]:
    """The files of architectures that one imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("jaxformers.models.")}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == 1:
                found |= {module.split(".")[0]} if module else {alias.name for alias in node.names}
            elif module.startswith(("models", "jaxformers.models")):
                found |= {alias.name for alias in node.names}
    return found


def test_architectures_share_through_layers() -> None:
    """Only those that are another one and a little more import that one, and it imports none."""
    files = [path for path in FOLDER.glob("*.py") if path.name != "__init__.py"]
    found = {path.stem: sorted(names) for path in files if (names := imported(path))}
    assert found == {child: [parent] for child, parent in RELATIVES.items()}
    assert not RELATIVES.keys() & set(RELATIVES.values())
