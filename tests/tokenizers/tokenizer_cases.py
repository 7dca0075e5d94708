"""What is tokenized for comparison: lines of many kinds, and calls with combinations of options."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

SETTINGS: dict[str, dict[str, Any]] = {
    "uncased": {"do_lower_case": True},
    "cased": {"do_lower_case": False},
    "accents": {"do_lower_case": True, "strip_accents": False},
    "chinese": {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
}
"""Settings of a BERT tokenizer by a name for them."""

_PLAIN = """
A warm, clever and moving film.
I can't believe it's not butter!!! Really?! (No...)
Dr. O'Neill's e-mail: someone@example.com, see http://example.com/a_b?c=d&e=%20f#g
$1,234.56 + 7% = 3.14e-10 -- or 1/2, 3rd, 21st, 0x1F; #hashtag @user_name
The quick brown fox jumps over the lazy dog; THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG
unbelievable antidisestablishmentarianism counterrevolutionaries pneumonoultramicroscopicsilicovolcanoconiosis
well-known state-of-the-art mother-in-law --- ... ___ *** ~~~
"Quotes" 'single' “curly” ‘single’ «guillemets» „low“ ‹one›
[CLS] special [SEP] tokens [MASK] in [PAD] the [UNK] text [MASK][MASK] [mask] [ MASK ]
the[MASK]word x[SEP]y [CLS][CLS]
I was running, ran and runs; walking walked walks; played playing player players
don't won't shouldn't've y'all'd 'tis o'clock rock'n'roll
a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8 9
. , ; : ! ? - _ ( ) [ ] { } < > / \\ | @ # $ % ^ & * + = ~ ` " '
"""

_CODE = """
def tokenize(text: str) -> list[int]: return [vocab.get(piece, 100) for piece in text.split()]
if (x >= 10 && y != null) { return array[i++] ?? "default"; } // comment
SELECT name, COUNT(*) FROM users WHERE age > 30 GROUP BY name HAVING COUNT(*) > 1;
<div class="row" id="main"><p>Hello &amp; goodbye &lt;3</p></div>
for i in range(0, len(xs), 2): print(f"{i:>3}: {xs[i]!r}")
std::vector<std::unique_ptr<Foo>> foos{}; auto&& [a, b] = *it;
#!/usr/bin/env bash\nset -euo pipefail; grep -rn "TODO" . | wc -l
{"key": [1, 2.5, null, true], "nested": {"a": "b\\n"}}
\\frac{1}{2} \\sum_{i=0}^{n} x_i^2 \\leq \\alpha
snake_case camelCase PascalCase SCREAMING_SNAKE kebab-case x86_64 utf8 v1.2.3-rc4
"""

_WORLD = """
Café naïve résumé über straße Åland Øresund ñandú façade coöperate ĳsselmeer ŒUVRE
crème brûlée à la carte, déjà vu, mañana, Zürich, Dvořák, Łódź, Kraków, Þór, İstanbul ıspanak
Ελληνικά γράμματα: αβγδεζ ΑΒΓΔΕΖ Σίσυφος ΣΊΣΥΦΟΣ
Привет, мир! Как дела? ЁЖИК ёжик й Й
שלום עולם בְּרֵאשִׁית בָּרָא
مرحبا بالعالم، كيف حالك؟ السَّلامُ عَلَيْكُمْ ١٢٣٤
هذا نص عربي طويل نسبيا مع بعض الأرقام 2024 و English words
你好，世界！我喜歡自然語言處理。 中文English混合123測試
今日は良い天気ですね。カタカナ ひらがな ｶﾀｶﾅ Ｆｕｌｌｗｉｄｔｈ １２３
안녕하세요 세계 한국어 텍스트 각 가
नमस्ते दुनिया, यह हिन्दी है। ক্ষ বাংলা தமிழ் తెలుగు ไทยภาษา
𠀀𠀁𠜎 extension 㐀㐁 compat 豈更 radicals ⺀⼀
Vietnamese: Tiếng Việt có dấu thanh: ạ ả ã á à ậ ẩ ẫ ấ ầ
ǅ ǆ ß ẞ ﬁ ﬂ ﬃ ĳ Ω Ω K K Å Å
"""

_SIGNS = """
😀 😃 great 👍🏽 love❤️ it 😍😍😍 🎉
👨‍👩‍👧‍👦 family 🏳️‍🌈 flag 🇺🇸🇩🇪 ☺ ☹️ 1️⃣ #️⃣
👩🏾‍💻 coder 🧑‍🚀 astronaut ✈️ plane 🤷‍♂️ shrug
:-) :( ;D <3 ^_^ ¯\\_(ツ)_/¯ ( ͡° ͜ʖ ͡°)
½ ¼ ² ³ ™ © ® € £ ¥ ¢ § ¶ † ‡ • … – — ― ‐ ‑
→ ← ↑ ↓ ⇒ ∀ ∃ ∈ ∞ ∑ √ ∫ ≈ ≠ ≤ ≥ ± × ÷ ∂
♠ ♣ ♥ ♦ ★ ☆ ♪ ♫ ✓ ✗ ☃ ☎ █ ▓ ░ ┌─┐
𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝓼𝓬𝓻𝓲𝓹𝓽 𝕕𝕠𝕦𝕓𝕝𝕖 ⓒⓘⓡⓒⓛⓔ ａｂｃ
"""

_ODD = [
    "",
    " ",
    "   \t  \n ",
    "\n",
    "one\ttab\nnew line\r\nwindows\rmac",
    "a\u00a0b\u2003c\u3000d\u200be\u2009f",
    "zero\u200bwidth\u200cjoin\u200ders\ufeffbom\u2060word",
    "control\x00chars\x01\x02\x07here\x1b[31mred\x7f\x85\x9f",
    "soft\u00adhyphen \u202eright-to-left\u202c \u2066isolate\u2069",
    "private \ue000\uf8ff use \U000f0000 non\uffffchar \ufffd replacement\ufffd",
    "e\u0301 vs \u00e9, n\u0303 vs \u00f1, a\u030a vs \u00e5",
    "z\u0351\u036b\u0343a\u0317\u0347l\u0300\u0301\u0302\u0303\u0304g\u0305\u0306o\u0327\u0328",
    "\u0301leading combining mark \u0301 alone a\u0301\u0301\u0301",
    "क\u094dष \u0928\u093f I\u0307 i\u0307 \u0130",
    "x" * 99,
    "x" * 100,
    "x" * 101,
    "word" * 60 + " end",
    "ab" * 250,
    "supercalifragilisticexpialidocious " * 4,
    "é" * 100 + " " + "e\u0301" * 60,
    "." * 70,
    "!?" * 20 + "a" + "?!" * 20,
    "I " * 40,
    "中" * 30,
    "😀" * 20,
    "[MASK]" * 10,
    "\u2028line\u2029para\x0bvt\x0cff\x1cfs\x1dgs",
    "½cup 3½ ①②③ Ⅷ ⅷ",
    "ＡＢＣ　ｄｅｆ",
    "\U0001f468\u200d\U0001f469 \u2764\ufe0f\u2764\ufe0e",
    "\u0e33\u0e49 \u1100\u1161\u11a8 \uac01",
    "'" * 5 + '"' * 5,
    "##ing ##s un##break # # ##",
    "  leading and trailing  ",
    "MiXeD CaSe WoRdS iN ThE TeXt",
    "U.S.A. U.N. e.g. i.e. Ph.D. a.m.",
]


def _varied() -> Iterator[str]:
    """Lines made of parts of other lines, so that scripts and signs meet."""
    parts = [line for block in (_PLAIN, _WORLD, _SIGNS, _CODE) for line in block.strip().splitlines()]
    for step in range(68):
        first, second = parts[step % len(parts)], parts[(7 * step + 3) % len(parts)]
        yield first[step % 11 : 24 + step % 13] + second[: 5 + step % 17] + first[-(step % 9 + 1) :]


LINES: list[str] = [
    *(line for block in (_PLAIN, _CODE, _WORLD, _SIGNS) for line in block.strip("\n").splitlines()),
    *_ODD,
    *_varied(),
]
"""Texts; none of them is text of anybody else."""

TEXTS = [LINES[0], LINES[1], "", LINES[8], "你好，世界！ 😀 x", LINES[4]]
PAIRS = ["Is it?", "", "the second text of a pair is here, longer than the first", "b [SEP] c", LINES[14], "no"]
WORDS = [["Hello", "wor ld", "", "unbelievable!"], ["你好", "[MASK]", "a"], ["I", "can't", "  ", "stop"]]


def calls() -> Iterator[dict[str, Any]]:
    """The keywords of calls, each with `text`."""
    everything = {
        "return_special_tokens_mask": True,
        "return_offsets_mapping": True,
        "return_length": True,
        "return_attention_mask": True,
        "return_token_type_ids": True,
    }
    pairs = {"text": TEXTS, "text_pair": PAIRS}
    yield {"text": TEXTS[1], **everything}
    yield {"text": TEXTS[1], "text_pair": PAIRS[2], **everything}
    yield {"text": TEXTS[1], "text_pair": ""}
    yield {"text": "", "text_pair": "b"}
    yield {"text": ""}
    yield {"text": [list(pair) for pair in zip(TEXTS, PAIRS, strict=True)]}
    yield {"text": TEXTS, "return_token_type_ids": False, "return_attention_mask": False}
    yield {"text": TEXTS[0], "text_target": TEXTS[1]}
    yield {"text_target": TEXTS[1]}
    yield {"text": TEXTS, "text_target": PAIRS, "max_length": 7, "truncation": True, "padding": True}
    yield {"text": WORDS[0], "is_split_into_words": True, **everything}
    yield {"text": WORDS, "is_split_into_words": True, "padding": True, **everything}
    yield {"text": WORDS, "text_pair": WORDS[::-1], "is_split_into_words": True, **everything}
    yield {"text": TEXTS, "split_special_tokens": True}
    yield {"text": TEXTS, "max_length": 6}
    yield {"text": TEXTS, "max_length": 2, "truncation": True}
    yield {**pairs, "max_length": 3, "truncation": True, "return_overflowing_tokens": True}
    for special in (True, False):
        yield {**pairs, "add_special_tokens": special, **everything}
        yield {"text": TEXTS, "add_special_tokens": special, "max_length": 4, "truncation": True}
    for padding, side in itertools.product((True, "max_length", "longest", "do_not_pad", False), ("left", "right")):
        more = {"max_length": 12} if padding == "max_length" else {}
        yield {"text": TEXTS, "padding": padding, "padding_side": side, **more, **everything}
    for multiple in (1, 5, 8):
        yield {"text": TEXTS, "padding": True, "pad_to_multiple_of": multiple}
        yield {"text": TEXTS[0], "padding": "max_length", "max_length": 9, "pad_to_multiple_of": multiple}
    yield {"text": TEXTS, "padding": True, "truncation": True, "max_length": 16, "pad_to_multiple_of": 8}
    for truncation, length, stride in itertools.product(
        (True, "longest_first", "only_first", "only_second"), (9, 32), (0, 2)
    ):
        short = {"text": [TEXTS[0], TEXTS[3]], "text_pair": [PAIRS[2], PAIRS[2]]}
        fits = length >= 32 or (not stride and truncation in (True, "longest_first"))
        if fits:
            options = {"truncation": truncation, "max_length": length, "stride": stride}
            yield {**short, **options}
            yield {**short, **options, "return_overflowing_tokens": True, "padding": True, **everything}
    yield {**short, "truncation": True, "max_length": 13, "stride": 3, "return_overflowing_tokens": True}
    for stride in (0, 1, 3):
        options = {"truncation": "only_first", "max_length": 8, "stride": stride, "return_overflowing_tokens": True}
        yield {"text": TEXTS, **options, **everything}
        yield {"text": TEXTS[1], **options}
        yield {"text": TEXTS[1], **options, "padding": "max_length", "padding_side": "left"}


SIDES = [("right", "right"), ("left", "right"), ("right", "left")]
"""padding_side and truncation_side of the tokenizers that the calls are made on."""
