"""Write `golden_decoders.json`: what torch's Qwen3 says of the texts and pairs in `toy_decoder.py`, on the same toys.

    python -m tests.pipelines.record_decoders PYTHON_WITH_TORCH

The toys are written here, in JAX; the interpreter named (torch, transformers 4.57) only answers: as the cards of
Qwen3-Embedding and Qwen3-Reranker describe, in batches that are padded on the left.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from .toy_decoder import LIMIT, PAIRS, QUERY, SHORT, TEXTS, write_embedder, write_ranker

THEIRS = """
import json, sys, torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

job = json.load(sys.stdin)
short, limit = job["limits"]

def vectors(texts):
    tokenizer = AutoTokenizer.from_pretrained(job["embedder"], padding_side="left")
    model = AutoModel.from_pretrained(job["embedder"], dtype=torch.float32).eval()
    batch = tokenizer(texts, padding=True, truncation=True, max_length=short, return_tensors="pt")
    with torch.no_grad():
        state = model(**batch).last_hidden_state[:, -1]
    return torch.nn.functional.normalize(state, dim=-1).tolist()

def odds(instruction):
    tokenizer = AutoTokenizer.from_pretrained(job["ranker"], padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(job["ranker"], dtype=torch.float32).eval()
    head = tokenizer.encode(
        '<|im_start|>system\\nJudge whether the Document meets the requirements based on the Query and the Instruct '
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\\n<|im_start|>user\\n',
        add_special_tokens=False,
    )
    tail = tokenizer.encode(
        "<|im_end|>\\n<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n", add_special_tokens=False
    )
    texts = [f"<Instruct>: {instruction}\\n<Query>: {query}\\n<Document>: {doc}" for query, doc in job["pairs"]]
    rows = tokenizer(texts, truncation="longest_first", max_length=limit - len(head) - len(tail))["input_ids"]
    batch = tokenizer.pad({"input_ids": [head + row + tail for row in rows]}, padding=True, return_tensors="pt")
    yes, no = tokenizer.convert_tokens_to_ids("yes"), tokenizer.convert_tokens_to_ids("no")
    with torch.no_grad():
        last = model(**batch).logits[:, -1]
    return torch.stack([last[:, no], last[:, yes]], 1).softmax(1)[:, 1].tolist()

found = {
    "plain": vectors(job["texts"]),
    "query": vectors([job["query"] + text for text in job["texts"]]),
    "odds": odds("Given a web search query, retrieve relevant passages that answer the query"),
    "instructed": odds("Find the note"),
}
print("\\n" + json.dumps(found))
"""


def main() -> None:
    """Record everything."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        job = {
            "embedder": str(write_embedder(Path(first))),
            "ranker": str(write_ranker(Path(second))),
            "texts": TEXTS,
            "pairs": PAIRS,
            "query": QUERY,
            "limits": [SHORT, LIMIT],
        }
        run = [sys.argv[1], "-W", "ignore", "-c", THEIRS]
        done = subprocess.run(run, input=json.dumps(job), capture_output=True, text=True, check=True)
    path = Path(__file__).with_name("golden_decoders.json")
    path.write_text(done.stdout.splitlines()[-1] + "\n")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
