"""Record tests/checkpoint/golden/*.bin and what torch says is in them: run by hand with the `parity` extra.

python tests/checkpoint/record_torch.py
"""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import torch

GOLDEN = Path(__file__).parent / "golden"


def tensors() -> OrderedDict[str, torch.Tensor]:
    """One tensor of each kind that checkpoints have, and of each that is easily read wrongly."""
    matrix = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 8 - 0.5
    state = OrderedDict(
        plain=matrix,
        transposed=matrix.T,
        part=torch.arange(40, dtype=torch.bfloat16).reshape(5, 8)[1:4, 2:7:2],
        shared=matrix,
        row=matrix[2],
        parameter=torch.nn.Parameter(torch.linspace(-1, 1, 6).reshape(2, 3)),
        scalar=torch.tensor(-(2**40)),
        empty=torch.zeros(0, 3),
        half=torch.tensor([0.1, 65504.0, -0.0], dtype=torch.float16),
        double=torch.tensor([1 / 3], dtype=torch.float64),
        flags=torch.tensor([[True, False], [False, True]]),
        bytes=torch.arange(250, 256, dtype=torch.uint8),
        small=torch.tensor([-128, 127], dtype=torch.int8),
        float8=torch.tensor([0.5, -448.0, 1.125]).to(torch.float8_e4m3fn),
        unsigned=torch.tensor([65535], dtype=torch.uint16),
        spread=torch.arange(3.0).reshape(1, 3).expand(1, 3),
    )
    state._metadata = OrderedDict([("", {"version": 1}), ("layer", {"version": 2})])  # what module.state_dict() adds
    return state


def main() -> None:
    """Write the file and the answers."""
    state = tensors()
    torch.save(state, GOLDEN / "pytorch_model.bin")
    torch.save({"state_dict": dict(state), "epoch": 3, "lr": 0.5, "note": "a run"}, GOLDEN / "wrapped.bin")
    torch.save(state, GOLDEN / "row_of_pickles.bin", _use_new_zipfile_serialization=False)
    answers = {
        name: {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "values": tensor.detach().to(torch.float64).reshape(-1).tolist(),
        }
        for name, tensor in state.items()
    }
    (GOLDEN / "torch.json").write_text(json.dumps({"torch": torch.__version__, "tensors": answers}, indent=1) + "\n")


if __name__ == "__main__":
    main()
