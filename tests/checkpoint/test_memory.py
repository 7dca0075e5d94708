"""Loading and saving a large model must never take the memory of the whole model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ARRAYS, ROWS = 12, 2**21  # 12 arrays of 8 MiB: 100 MB

READ = """
import json, sys
from pathlib import Path
import numpy as np
from jaxformers import hub
from jaxformers.checkpoint import weights

def anonymous():
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024

weights.open_weights(hub.source_of(sys.argv[2]))["0"].read().sum()  # a small file: what imports take
before, most, total = anonymous(), 0, 0.0
opened = weights.open_weights(hub.source_of(sys.argv[1]))
headers = anonymous() - before
for name in opened:
    values = opened[name].read().astype(np.float32)  # what a loader does: one copy
    most = max(most, anonymous() - before)
    total += float(values[0]) + float(values[-1])
    del values
print(json.dumps({"headers": headers, "most": most, "total": total}))
"""

WRITE = """
import json, sys
import numpy as np
from pathlib import Path
from jaxformers import durable
from jaxformers.checkpoint import weights

def anonymous():
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024

class Lazy:
    dtype = np.dtype(np.float32)
    def __init__(self, rows, fill):
        self.shape, self.fill = (rows,), fill
    def __call__(self):
        global most
        most = max(most, anonymous() - before)
        return np.full(self.shape, self.fill, np.float32)

before = most = 0
def save(folder, rows):
    with durable.Replacement(folder) as files:
        weights.write_weights(files, {str(i): Lazy(rows, i) for i in range(int(sys.argv[2]))}, max_shard_size="50MB")

save(sys.argv[1] + "/small", 8)
before, most = anonymous(), 0
save(sys.argv[1] + "/large", int(sys.argv[3]))
print(json.dumps({"most": max(most, anonymous() - before)}))
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's account of memory")


def run(code: str, *arguments: object) -> dict:
    """What the code prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A sharded model of 100 MB, a small one, and what writing them took."""
    folder = tmp_path_factory.mktemp("models")
    yield folder, run(WRITE, folder, ARRAYS, ROWS)
    for path in (folder / "large").iterdir():
        path.unlink()


def test_reading_and_writing_hold_little_more_than_the_largest_array(folders):
    folder, written = folders
    assert len(list((folder / "large").iterdir())) == 4
    assert written["most"] < 4 * ROWS + 6e6
    read = run(READ, folder / "large", folder / "small")
    assert read["total"] == 2 * sum(range(ARRAYS))
    assert read["headers"] < 3e6
    assert read["most"] < 4 * ROWS + 6e6


@pytest.mark.parametrize(("writer", "copies"), [("state_dict", 1), ("old_state_dict", 2)])
def test_a_torch_file_of_the_same_size_is_read_as_sparingly(folders, tmp_path, writer, copies):
    """Before torch 1.6 arrays began anywhere, so that reading one aligns it, in a copy."""
    code = f"""
import sys; sys.path.insert(0, {str(HERE)!r})
import numpy as np, torch_files
from functools import partial
from pathlib import Path
write = {{"state_dict": partial(torch_files.state_dict, alignment=64), "old_state_dict": torch_files.old_state_dict}}
for name, rows in (("large", {ROWS}), ("small", 8)):
    (Path(sys.argv[1]) / name).mkdir()
    arrays = {{str(i): np.full(rows, i, np.float32) for i in range({ARRAYS})}}
    (Path(sys.argv[1]) / name / "pytorch_model.bin").write_bytes(write[{writer!r}](arrays))
print("null")
"""
    run(code, tmp_path)
    read = run(READ, tmp_path / "large", tmp_path / "small")
    (tmp_path / "large" / "pytorch_model.bin").unlink()
    assert read["total"] == 2 * sum(range(ARRAYS))
    assert read["headers"] < 3e6
    assert read["most"] < copies * 4 * ROWS + 6e6
