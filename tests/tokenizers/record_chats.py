"""Ask torch Transformers 4.57 about chats and keep its answers: run by hand, with the `parity` extra installed.

python tests/tokenizers/record_chats.py          rewrites golden/chats.json
python tests/tokenizers/record_chats.py ask      reads [template, variables, [[conversation, options], ...]] (JSON) from
                                                 stdin, writes the text of each, null where it raises (JSON)
python tests/tokenizers/record_chats.py load FOLDER SAVED   writes the chat template of the tokenizer in FOLDER (JSON),
                                                 and saves it in SAVED
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import cases
import chats
from transformers import AutoTokenizer
from transformers.utils import get_json_schema
from transformers.utils.chat_template_utils import render_jinja_template


def record() -> None:
    """Rewrite the golden file, one line for each entry."""
    with tempfile.TemporaryDirectory() as folder:
        written = chats.write(Path(folder), cases.GOLDEN / "old")
        tokenizer = cases.as_five(AutoTokenizer.from_pretrained(str(written)), written)
    found = {
        "calls": chats.called(tokenizer),
        "schemas": [get_json_schema(function) for function in chats.FUNCTIONS],
        **{name: chats.digests(tokenizer, name) for name in chats.TEMPLATES},
    }
    text = ",\n".join(f"{json.dumps(key)}: {json.dumps(item)}" for key, item in found.items())
    (cases.GOLDEN / "chats.json").write_text("{" + text + "}\n")


def ask() -> None:
    """Render what comes on stdin."""
    template, variables, asked = json.load(sys.stdin)
    answers = []
    for conversation, options in asked:
        try:
            (text,), _ = render_jinja_template([conversation], chat_template=template, **{**variables, **options})
        except Exception:
            text = None
        answers.append(text)
    json.dump(answers, sys.stdout)


def load(folder: str, saved: str) -> None:
    """Load and save a tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    json.dump(tokenizer.chat_template, sys.stdout)
    tokenizer.save_pretrained(saved)


if __name__ == "__main__":
    {"": record, "ask": ask, "load": load}[(sys.argv[1:] or [""])[0]](*sys.argv[2:])
