"""What the benchmarks share: processes that answer on command, and real texts of mixed length."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def own(task: str, checkpoint: str, dtype: str, environment: dict[str, str] | None = None) -> Peer:
    """Our side."""
    return Peer([sys.executable, str(HERE / "own_peer.py"), task, checkpoint, dtype], environment)


def theirs(python: str, task: str, checkpoint: str, dtype: str) -> Peer:
    """Torch Transformers, with a thread for each processor."""
    return Peer([python, str(HERE / "torch_peer.py"), task, checkpoint, dtype, str(os.cpu_count())])


def sentences(python: str, checkpoint: str, dtype: str) -> Peer:
    """sentence-transformers, with a thread for each processor."""
    return Peer([python, str(HERE / "sentence_peer.py"), checkpoint, dtype, str(os.cpu_count())])


def machine() -> str:
    """The processors, and which units for half types they have."""
    flags = Path("/proc/cpuinfo").read_text()
    units = ", ".join(name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if name in flags)
    return f"{os.cpu_count()} processors ({units or 'none of AVX'})"


class Peer:
    """A process that classifies on command."""

    def __init__(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | (environment or {}),
        )
        self.ready = self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a peer has died; run it by hand to see why")
        return json.loads(line)

    def ask(self, texts: Any, **more: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"texts": texts, **more}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def memory(self) -> float:
        """Peak resident megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def mixed_texts(folder: Path, count: int) -> list[str]:
    """Real texts of mixed length: snippets, posts, reviews and editorial sentences, some joined, up to ~400 tokens."""
    lines = [
        line.split("\t")[2].strip()
        for file in sorted(folder.glob("*_GroundTruth.txt"))
        for line in file.read_text(encoding="cp1252", errors="replace").splitlines()
        if line.count("\t") >= 2
    ]
    draw = random.Random(0)
    draw.shuffle(lines)
    taken = iter(lines)
    return [" ".join(next(taken) for _ in range(draw.choice([1, 1, 1, 1, 2, 2, 3, 4, 6, 12]))) for _ in range(count)]
