"""Write the adapters of `cases.py` as jaxformers does, for PEFT to open: `record.py FOLDER` says what it makes of them.

python -m tests.adapters.ours FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from jaxformers import PeftModel
from tests.training.test_step import model_of

from .cases import CASES, RECORDED


def main(folder: Path) -> None:
    """A folder for each case, and beside it what it was read from."""
    for name, case in CASES.items():
        found, theirs = np.load(RECORDED / f"{name}.npz"), folder / "theirs" / name
        theirs.mkdir(parents=True)
        arrays = {key.removeprefix("file."): found[key] for key in found.files if key.startswith("file.")}
        save_file(arrays, theirs / "adapter_model.safetensors")
        (theirs / "adapter_config.json").write_text(str(found["config"]))
        base = model_of(case.toy, folder / f"base_{name}")
        PeftModel.from_pretrained(base, theirs).save_pretrained(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
