"""Chat templates that mean harm end in an error, soon and in little memory; long honest conversations do not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import chats
import hostile_chats
import pytest

from jaxformers.tokenizers import sandbox

SECONDS, MEBIBYTES = 2, 192


def harm(kind: str) -> None:
    """Render all templates of a kind in a process of its own, and check each."""
    program = Path(hostile_chats.__file__)
    done = subprocess.run([sys.executable, program, kind], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]  # not even a crash
    *told, grown = map(json.loads, done.stdout.splitlines())
    assert [name for name, _, _ in told] == list(hostile_chats.QUICK if kind == "quick" else hostile_chats.SLOW)
    assert not [(name, said) for name, _, said in told if not said.startswith("chat template") or "\n" in said]
    assert not [(name, seconds) for name, seconds, _ in told if seconds > SECONDS]
    assert grown < MEBIBYTES


def test_hostile_templates_end_soon() -> None:
    assert len(hostile_chats.QUICK) > 80
    harm("quick")


@pytest.mark.heavy
def test_hostile_templates_that_spend_their_budget_end_too() -> None:
    harm("slow")


def rendered(template: str, **variables: Any) -> str:
    return sandbox.render(template, {"messages": hostile_chats.MESSAGES, **variables}).text


def test_the_conversation_cannot_be_changed() -> None:
    before = json.dumps(hostile_chats.MESSAGES)
    for change in (
        "messages[0].clear()",
        "messages.pop()",
        "messages[0].setdefault('a', 1)",
        "dict.clear(messages[0])",
    ):
        with pytest.raises(ValueError, match="chat template"):
            rendered("{{ " + change + " }}")
    assert json.dumps(hostile_chats.MESSAGES) == before


def test_names_with_an_underscore_are_data_or_nothing() -> None:
    assert rendered("{{ x._id }}{{ x['_id'] }}{{ x.__id }}", x={"_id": 1}) == "11"
    assert rendered("{% for _, v in {'a': 1}.items() %}{{ v }}{% endfor %}{% set _x = 2 %}{{ _x }}") == "12"
    for attribute in ("__class__", "__init__", "__subclasses__", "__globals__", "_Namespace__attrs"):
        for template in (
            "{{{{ x.{} }}}}",
            "{{{{ x['{}'] }}}}",
            "{{{{ x|attr('{}') }}}}",
            "{{{{ '{{0.{}}}'.format(x) }}}}",
        ):
            for value in ("", [], {}, len, str, sandbox):
                if hasattr(value, attribute):
                    with pytest.raises(ValueError, match=attribute):
                        rendered(template.format(attribute), x=value)


def test_what_is_refused_says_what_to_look_at() -> None:
    with pytest.raises(sandbox.TemplateError, match=r"line 2: .* steps that a conversation of this size is given"):
        rendered("\n" + hostile_chats.often(""))
    with pytest.raises(ValueError, match=r"a width of '\*' .* write the number"):
        rendered("{{ '%*d' % (9, 1) }}")
    with pytest.raises(ValueError, match=r"'{w}' in a format: write the number"):
        rendered("{{ '{:{w}}'.format(1, w=9) }}")
    with pytest.raises(ValueError, match=r"str\.encode is not allowed"):
        rendered("{{ 'a'.encode() }}")
    with pytest.raises(ValueError, match="stands alone, there is no 'x' to include"):
        rendered("{% include 'x' %}")


def test_values_may_have_the_names_of_our_own_arguments() -> None:
    names = "name=1, function=2, sandbox=3, context=4, _=5"
    for template in ("{{ dict(%s).values()|sum }}", "{{ '{name}{function}{sandbox}{context}{_}'.format(%s) }}"):
        assert rendered(template % names) in ("15", "12345")
    assert rendered("{% set n = namespace(name=1, function=2, sandbox=3, context=4) %}{{ n.name ~ n.context }}") == "14"
    assert rendered("{{ '%(name)s%(context)s'|format(name=1, context=4) }}") == "14"


def test_chains_of_comparisons() -> None:
    values = {"a": 1, "b": 2, "c": [2, 3]}
    for expression in ("a < b in c", "a < b < a", "a not in c", "a in c", "0 < a < b", "a != b == b not in c"):
        assert rendered("{{ " + expression + " }}", **values) == str(eval(expression, values))


def test_endless_conversations_end() -> None:
    endless: dict[str, Any] = {"role": "user"}
    endless["content"] = [endless]
    for template in ("{{ messages }}", "{{ messages|tojson }}", "{{ messages == other }}"):
        with pytest.raises(ValueError, match="chat template"):
            rendered(template, messages=[endless], other=[dict(endless)])


@pytest.mark.parametrize("name", sorted(set(chats.TEMPLATES) - {"corners"}))
def test_long_conversations_have_room(name: str) -> None:
    said = [f"{number} <think>x</think> é " * 20 for number in range(1000)]
    turns = [{"role": role, "content": text} for text in said for role in ("user", "assistant")]
    tools = [chats.SCHEMA] * 100
    documents = chats.DOCUMENTS * 100
    variables = {"tools": tools, "documents": documents, "add_generation_prompt": True}
    text = rendered(chats.TEMPLATES[name], messages=turns, **variables, bos_token="<s>", eos_token="</s>")
    assert text.count("999 ") >= 20


def test_a_message_of_megabytes_has_room() -> None:
    for name in ("chatml", "qwen3", "deepseek", "gemma", "llama3"):
        talk = [{"role": "user", "content": "word " * 500_000}, {"role": "assistant", "content": "</think>" * 200_000}]
        assert len(rendered(chats.TEMPLATES[name], messages=talk, bos_token="<s>", tools=None)) > 2_500_000


def test_compiled_templates_are_kept_and_not_for_ever() -> None:
    sandbox._compiled.cache_clear()
    for number in range(sandbox.COMPILED + 10):
        rendered(f"{number} {{{{ messages }}}}")
    rendered("0 {{ messages }}")
    assert sandbox._compiled.cache_info().currsize == sandbox.COMPILED
    assert sandbox._compiled.cache_info().misses == sandbox.COMPILED + 11
    rendered("0 {{ messages }}")
    assert sandbox._compiled.cache_info().hits == 1


def test_the_largest_template_compiles_in_time() -> None:
    code = """
import json, time
from jaxformers.tokenizers import sandbox
start = time.process_time()
text = "{% for m in messages %}" + "{% if m.a == 'x' %}{{ m.b }}{% endif %}" * 1500 + "{% endfor %}"
sandbox.render(text, {"messages": [{}]})
print(time.process_time() - start)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 4
