"""What users of `apply_chat_template` rely on: forms of conversations, which template is taken, files, errors."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cases
import chats
import jax.numpy as jnp
import jinja2
import numpy as np
import pytest

from jaxformers import hub, tokenizers
from jaxformers.tokenizers import Tokenizer, tools

HELLO = [{"role": "user", "content": "Hello!"}]
TALK = [*HELLO, {"role": "assistant", "content": "Hi."}]
CHATML = chats.TEMPLATES["chatml"]
MASKED = chats.TEMPLATES["masked"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return chats.write(tmp_path / "checkpoint", cases.GOLDEN / "old")


@pytest.fixture
def tokenizer(folder: Path) -> Tokenizer:
    found = load(folder)
    found.chat_template = CHATML
    return found


def load(folder: Path, **settings: Any) -> Tokenizer:
    return tokenizers.load(hub.source_of(folder), **settings)


@dataclasses.dataclass
class Conversation:
    """An object as libraries of datasets have them."""

    messages: list[dict[str, Any]]


# Conversations


def test_one_conversation_is_flat_and_several_are_rows(tokenizer: Tokenizer) -> None:
    text = "<|im_start|>user\nHello!<|im_end|>\n"
    assert tokenizer.apply_chat_template(HELLO, tokenize=False) == text
    assert tokenizer.apply_chat_template([HELLO, TALK], tokenize=False)[0] == text
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.apply_chat_template(HELLO) == ids
    assert tokenizer.apply_chat_template([HELLO]) == [ids]
    assert ids[0] != tokenizer.bos_token_id  # which the template has not written


def test_objects_with_messages(tokenizer: Tokenizer) -> None:
    assert tokenizer.apply_chat_template(Conversation(TALK)) == tokenizer.apply_chat_template(TALK)
    both = [Conversation(TALK), Conversation(HELLO)]
    assert tokenizer.apply_chat_template(both) == tokenizer.apply_chat_template([TALK, HELLO])


@pytest.mark.parametrize("conversation", ["Hello!", HELLO[0], None, 3, [], b"x", Conversation(None), [HELLO, HELLO[0]]])
def test_what_is_no_conversation_is_said(conversation: Any, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="conversation"):
        tokenizer.apply_chat_template(conversation)


def test_the_conversation_is_not_changed(tokenizer: Tokenizer) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    for conversation in (TALK, parts):
        before = json.dumps(conversation)
        tokenizer.apply_chat_template(
            conversation, chat_template="{{ messages[-1].content }}", continue_final_message=True
        )
        assert json.dumps(conversation) == before


# Results


def test_arrays(tokenizer: Tokenizer) -> None:
    rows = tokenizer.apply_chat_template([HELLO, TALK], padding=True, return_tensors="np")
    assert rows.dtype == np.int64
    assert rows.shape[0] == 2
    assert rows[0, 0] == tokenizer.pad_token_id  # on the left, as the files say
    options = {"return_tensors": "jax", "return_dict": True, "return_assistant_tokens_mask": True}
    encoded = tokenizer.apply_chat_template(TALK, chat_template=MASKED, **options)
    assert isinstance(encoded["assistant_masks"], jnp.ndarray)
    assert encoded["input_ids"].dtype == encoded["assistant_masks"].dtype == jnp.int32
    assert encoded["input_ids"].shape == encoded["assistant_masks"].shape == (1, len(encoded["attention_mask"][0]))
    with pytest.raises(ValueError, match="'np' or 'jax'"):
        tokenizer.apply_chat_template(HELLO, return_tensors="pt")


def masked(tokenizer: Tokenizer, text: str, **options: Any) -> list[str]:
    """The pieces that the mask covers."""
    encoded = tokenizer.apply_chat_template(
        HELLO, chat_template=text, return_dict=True, return_assistant_tokens_mask=True, **options
    )
    pieces = zip(encoded.tokens(), encoded["assistant_masks"], strict=True)
    return [piece for piece, inside in pieces if inside]


def test_masks_cover_what_the_assistant_says(tokenizer: Tokenizer) -> None:
    assert masked(tokenizer, "a b{% generation %} c{% endgeneration %} d") == ["Ġc"]
    assert masked(tokenizer, "{% generation %}a{% endgeneration %} b") == ["a"]  # also at the very beginning
    assert masked(tokenizer, "a{% generation %}{% endgeneration %} b") == []
    assert masked(tokenizer, "a{% generation %} 漢{% endgeneration %} b")[1:] == tokenizer.tokenize("漢")  # all bytes
    cut = masked(tokenizer, "a b{% generation %} c d e{% endgeneration %} f", truncation=True, max_length=3)
    assert cut == ["Ġc"]
    tokenizer.truncation_side = "left"
    cut = masked(tokenizer, "a b{% generation %} c d e{% endgeneration %} f", truncation=True, max_length=3)
    assert cut == ["Ġd", "Ġe"]


def test_masks_of_what_was_cut_into_pieces(tokenizer: Tokenizer) -> None:
    options = {"return_overflowing_tokens": True}
    encoded = tokenizer.apply_chat_template(
        HELLO, chat_template="a b{% generation %} c d e{% endgeneration %} f", return_dict=True,
        return_assistant_tokens_mask=True, truncation=True, max_length=3, tokenizer_kwargs=options,
    )  # fmt: skip
    assert encoded["assistant_masks"] == [[0, 0, 1], [1, 1, 0]]


def test_a_mask_that_is_all_zeros_is_said_once(tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert not masked(tokenizer, CHATML)
    assert len([record for record in caplog.records if "generation" in record.message]) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"return_dict": True, "tokenize": False}, "tokenize=True"),
        ({"return_assistant_tokens_mask": True}, "return_dict=True"),
        ({"return_assistant_tokens_mask": True, "tokenize": False}, "return_dict=True"),
        ({"add_generation_prompt": True, "continue_final_message": True}, "one of them"),
        (
            {"return_assistant_tokens_mask": True, "return_dict": True, "continue_final_message": True},
            "continue_final_message",
        ),
        ({"chat_template": 3}, "chat_template"),
        ({"padding": "most"}, "padding"),
    ],
)
def test_options_that_exclude_each_other(options: dict[str, Any], said: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match=said):
        tokenizer.apply_chat_template(HELLO, **options)


def test_names_that_are_taken(tokenizer: Tokenizer) -> None:
    with pytest.raises(TypeError, match="first argument"):
        tokenizer.apply_chat_template(HELLO, messages=HELLO)


def test_variables_go_before_special_tokens(tokenizer: Tokenizer) -> None:
    write = "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ additional_special_tokens }}{{ cls_token }}{{ mine }}"
    options: dict[str, Any] = {"chat_template": write, "tokenize": False}
    assert tokenizer.apply_chat_template(HELLO, **options) == "<s></s></s>['<|im_start|>', '<|im_end|>']"
    assert tokenizer.apply_chat_template(HELLO, **options, eos_token="E", mine=1).startswith("<s>E</s>[")


# The last message


def test_the_last_message_goes_on(tokenizer: Tokenizer) -> None:
    options: dict[str, Any] = {"continue_final_message": True, "tokenize": False}
    assert tokenizer.apply_chat_template(TALK, **options).endswith("assistant\nHi.")
    spaces = [*HELLO, {"role": "assistant", "content": " Hi \n"}]
    assert tokenizer.apply_chat_template(spaces, **options).endswith("assistant\n Hi \n")
    trimming = CHATML.replace("message['content']", "message['content']|trim")
    assert tokenizer.apply_chat_template(spaces, chat_template=trimming, **options).endswith("assistant\nHi")


@pytest.mark.parametrize(
    ("message", "template", "said"),
    [
        ("Hi", "{{ messages[0].content }}", "chat template"),
        ("Hi", "{{ messages[-1].content|reverse }}", "chat template"),
        ("Hi", "{{ messages[-1].content[:2] }}", "chat template"),
        (None, "x", "no text"),
        ([{"type": "image"}], "x", "no text"),
    ],
)
def test_a_last_message_that_does_not_survive(message: Any, template: str, said: str, tokenizer: Tokenizer) -> None:
    talk = [*HELLO, {"role": "assistant", "content": message}]
    with pytest.raises(ValueError, match=said):
        tokenizer.apply_chat_template(talk, chat_template=template, continue_final_message=True)


def test_which_of_several_conversations_cannot_go_on_is_said(tokenizer: Tokenizer) -> None:
    silent = [*HELLO, {"role": "assistant", "content": None}]
    with pytest.raises(ValueError, match=r"conversation\[1\]"):
        tokenizer.apply_chat_template([TALK, silent], continue_final_message=True)


# Which template


def test_templates_by_name(tokenizer: Tokenizer) -> None:
    tokenizer.chat_template = {"default": "default", "tool_use": "tools", "rag": "rag"}
    assert tokenizer.get_chat_template() == "default"
    assert tokenizer.get_chat_template(tools=[]) == "tools"
    assert tokenizer.get_chat_template("rag", tools=[chats.SCHEMA]) == "rag"
    assert tokenizer.get_chat_template("{{ 1 }}") == "{{ 1 }}"
    assert tokenizer.apply_chat_template(HELLO, tools=[chats.SCHEMA], tokenize=False) == "tools"
    assert tokenizer.apply_chat_template(HELLO, chat_template="rag", tokenize=False) == "rag"
    with pytest.raises(ValueError, match="default, rag, tool_use"):
        tokenizer.get_chat_template("rags")
    tokenizer.chat_template = {"tool_use": "tools"}
    assert tokenizer.get_chat_template(tools=[]) == "tools"
    with pytest.raises(ValueError, match="tool_use"):
        tokenizer.get_chat_template()
    tokenizer.chat_template = {"default": "default"}
    assert tokenizer.get_chat_template(tools=[chats.SCHEMA]) == "default"


def test_no_template_is_said(tokenizer: Tokenizer) -> None:
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="no chat template"):
        tokenizer.apply_chat_template(HELLO)
    with pytest.raises(ValueError, match="no chat template"):
        tokenizer.get_chat_template()
    assert tokenizer.apply_chat_template(HELLO, chat_template=CHATML)
    tokenizer.chat_template = 3  # type: ignore[assignment] - what a user might do
    with pytest.raises(ValueError, match="chat_template"):
        tokenizer.apply_chat_template(HELLO)


# Files


def test_the_template_of_the_files_is_found(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert load(folder).chat_template is None
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": "of the field"}))
    assert load(folder).chat_template == "of the field"
    named = [{"name": "default", "template": "d"}, {"name": "rag", "template": "r"}]
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": named}))
    assert load(folder).chat_template == {"default": "d", "rag": "r"}
    (folder / "chat_template.jinja").write_bytes("of the file é\r\n".encode())
    assert load(folder).chat_template == "of the file é\n"
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("tools")
    (folder / "additional_chat_templates" / "notes.txt").write_text("nothing")
    assert load(folder).chat_template == {"default": "of the file é\n", "tool_use": "tools"}
    (folder / "chat_template.jinja").unlink()
    assert load(folder).chat_template == {"tool_use": "tools"}
    assert load(folder, chat_template="given").chat_template == "given"


@pytest.mark.parametrize("value", [3, ["x"], [{"name": "default"}], {"default": 1}, [{"template": "x"}]])
def test_a_malformed_field_is_named(value: Any, folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": value}))
    with pytest.raises(ValueError, match=r"tokenizer_config\.json: chat_template"):
        load(folder)


def test_a_template_that_is_no_text_is_named(folder: Path) -> None:
    (folder / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"chat_template\.jinja: a chat template must be UTF-8"):
        load(folder)


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("one é\n", {"chat_template.jinja"}),
        ({"default": "d"}, {"chat_template.jinja"}),
        (
            {"default": "d", "tool_use": "t", "rag": "r"},
            {"chat_template.jinja", "additional_chat_templates/rag.jinja", "additional_chat_templates/tool_use.jinja"},
        ),
        ({"tool_use": "t"}, {"additional_chat_templates/tool_use.jinja"}),
        (None, set()),
    ],
)
def test_templates_are_saved_and_read(template: Any, names: set[str], tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.chat_template = template
    saved = tmp_path / "saved"
    written = {Path(path).relative_to(saved).as_posix() for path in tokenizer.save_pretrained(saved)}
    found = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    assert written == found
    assert {name for name in found if name.endswith(".jinja")} == names
    assert "chat_template" not in json.loads((saved / "tokenizer_config.json").read_text())
    assert load(saved).chat_template == (template["default"] if template == {"default": "d"} else template)


@pytest.mark.parametrize("name", ["../escape", "a/b", "nul\0"])
def test_a_name_that_leads_out_of_the_folder_is_not_written(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.chat_template = {"default": "d", name: "x"}
    with pytest.raises(ValueError, match="name"):
        tokenizer.save_pretrained(tmp_path / "saved" / "deep")
    assert not [path for path in tmp_path.rglob("*.jinja") if "checkpoint" not in path.parts]


def test_what_is_no_template_is_not_saved(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.chat_template = {"default": 3}  # type: ignore[dict-item] - what a user might do
    with pytest.raises(ValueError, match="chat_template"):
        tokenizer.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_a_trained_tokenizer_keeps_the_template(tokenizer: Tokenizer) -> None:
    other = tokenizer.train_new_from_iterator(["some words to learn"] * 9, 400, show_progress=False)
    assert other.apply_chat_template(HELLO, tokenize=False) == tokenizer.apply_chat_template(HELLO, tokenize=False)


def test_hub_repositories_with_templates(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = load(folder)
    tokenizer.chat_template = {"default": "d", "rag": "r"}
    snapshot = tmp_path / "cache" / "models--me--chat" / "snapshots" / ("a" * 40)
    tokenizer.save_pretrained(snapshot)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("a" * 40)
    source = hub.source_of("me/chat", cache_dir=tmp_path / "cache", local_files_only=True)
    assert tokenizers.load(source).chat_template == {"default": "d", "rag": "r"}


@pytest.mark.heavy
@pytest.mark.parametrize("template", ["one é\n", {"default": "d", "rag": "r"}, {"rag": "r"}])
def test_the_reference_reads_what_is_saved_and_the_other_way_round(
    template: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    if "JAXFORMERS_ORACLE" not in os.environ:
        pytest.skip("JAXFORMERS_ORACLE is not set")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path / "ours")
    recorder = Path(__file__).with_name("record_chats.py")
    command = [os.environ["JAXFORMERS_ORACLE"], recorder, "load", tmp_path / "ours", tmp_path / "theirs"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(done.stdout) == template
    assert load(tmp_path / "theirs").chat_template == template
    jinja = {path.name: path.read_bytes() for path in (tmp_path / "ours").rglob("*.jinja")}
    assert jinja == {path.name: path.read_bytes() for path in (tmp_path / "theirs").rglob("*.jinja")}


# Tools and documents


@pytest.mark.parametrize("given", ["get_weather", chats.SCHEMA, 3, [3], ["x"], [chats.SCHEMA, len]])
def test_tools_that_are_none(given: Any, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="tools"):
        tokenizer.apply_chat_template(HELLO, tools=given)


@pytest.mark.parametrize("given", ["text", chats.DOCUMENTS[0], ["text"], [chats.DOCUMENTS[0], 3], 3])
def test_documents_that_are_none(given: Any, tokenizer: Tokenizer) -> None:
    with pytest.raises(TypeError, match="documents"):
        tokenizer.apply_chat_template(HELLO, documents=given)


def test_a_method_and_types_in_parentheses() -> None:
    class Calculator:
        def add(self, a: int, b: float = 0.5) -> float:
            """Add.

            Args:
                a (int): The first
                    number
                b (float, optional): The second
            """
            return a + b

    function = tools.schema(Calculator().add)["function"]
    described = {name: value["description"] for name, value in function["parameters"]["properties"].items()}
    assert described == {"a": "The first number", "b": "The second"}
    assert function["parameters"]["required"] == ["a"]


def undocumented(a: int) -> None: ...


def untyped(a):  # type: ignore[no-untyped-def]
    """F.

    Args:
        a: x
    """


def undescribed(a: int) -> None:
    """F."""


def with_a_set(a: set[int]) -> None:
    """F.

    Args:
        a: x
    """


def with_one_item(a: tuple[int]) -> None:
    """F.

    Args:
        a: x
    """


def with_choices(a: str) -> None:
    """F.

    Args:
        a: x (choices: [1, 2])
    """


def with_unknown_type(a: NoSuchType) -> None:  # type: ignore[name-defined]  # noqa: F821
    """F.

    Args:
        a: x
    """


@pytest.mark.parametrize(
    "function",
    [undocumented, untyped, undescribed, with_a_set, with_one_item, with_choices, with_unknown_type],
)
def test_functions_without_a_schema_are_named(function: Any, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match=r"argument|docstring|type") as caught:
        tokenizer.apply_chat_template(HELLO, tools=[function])
    assert "\n" not in str(caught.value)


# Errors of templates


def test_what_a_template_refuses_can_be_caught_as_before(tokenizer: Tokenizer) -> None:
    refusing = "{% for message in messages %}\n{{ raise_exception('System role not supported') }}{% endfor %}"
    with pytest.raises(jinja2.exceptions.TemplateError, match="System role not supported"):
        tokenizer.apply_chat_template(HELLO, chat_template=refusing)
    with pytest.raises(ValueError, match="line 2: System role not supported"):
        tokenizer.apply_chat_template(HELLO, chat_template=refusing)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for x in messages %}", "line 1"),
        ("\n\n{{ messages[0]['content'] + 1 }}", "line 3: TypeError"),
        ("{{ nothing.at.all }}", "'nothing' is undefined"),
        ("{{ messages|nofilter }}", "nofilter"),
        ("{{ messages is notest }}", "notest"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ messages[0]|tojson(indent='x', nothing=1) }}", "TypeError"),
        ("{{ none|tojson + {} }}", "TypeError"),
    ],
)
def test_what_fails_in_a_template_is_one_line_with_its_place(template: str, said: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        tokenizer.apply_chat_template(HELLO, chat_template=template)
    assert "\n" not in str(caught.value)


# Other things


def test_several_threads_render_at_once(tokenizer: Tokenizer) -> None:
    talks = [[{"role": "user", "content": str(number) * 50}] for number in range(40)]
    expected = [tokenizer.apply_chat_template(talk, chat_template=MASKED) for talk in talks]
    wrong: list[int] = []

    def work(start: int) -> None:
        for number in range(start, 40, 4):
            if tokenizer.apply_chat_template(talks[number], chat_template=MASKED) != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_jinja2_is_loaded_by_the_first_chat_alone() -> None:
    code = "import sys; from jaxformers import AutoTokenizer, tokenizers; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
