"""Programs on several devices: in a process of their own, for their number is fixed when jax starts."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any


def on_devices(program: str, *arguments: Any, count: int = 8, timeout: float = 120) -> str:
    """What a program prints that sees `count` CPU devices and all that this process can import.

    Raises:
        AssertionError: it fails; the message is the end of its errors.
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={
            "JAX_PLATFORMS": "cpu",
            "JAX_NUM_CPU_DEVICES": str(count),
            "PATH": "",
            "PYTHONPATH": ":".join(sys.path),
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()
