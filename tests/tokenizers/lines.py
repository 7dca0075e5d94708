"""Texts made by rule, the same on every machine: what tokenizers stumble over, and ordinary prose around it."""

from __future__ import annotations

import hashlib
import json
import random
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

WORDS = """
the a of to and in is was it that we you he they not be with as for on have from this had which one would there all her
his when who will more no if out so said what up its about into than them can only other new some could time these two
may then do first any my now such like our over man me even most made after also did many before must through back years
where much your way well down should because each just those people too how little state good very make world still own
see men work long get here between both life being under never day same another know while last might us great old year
off come since against go came right used take three film movie plot actors happy sad terrible wonderful unbelievable
photography international understanding pneumonoultramicroscopic tokenization embeddings running walked quickly quietest
don't isn't we're they'll I'm it's o'clock rock-n-roll state-of-the-art e-mail 2,000 3.14 50% $9.99 1984 #1 @home U.S.A.
""".split()

SCRIPTS = {
    "chinese": "的一是不了人我在有他这中大来上国和也子时道说出而要于就下得可你年生自会那后能对着事其里所去行过家十用"
    "发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从",
    "rare chinese": "㐀㐁㒨䶵𠀀𠀁𪛖𫜴豈更車龜龍﨩",
    "japanese": "あいうえおかきくけこがぎぐげごアイウエオカキクケコーー・。「」、東京大阪日本語文字",
    "korean": "가각간갈감한국어말글안녕하세요ㄱㄴㄷㅏㅑㅓ",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهويىةءآأؤإئًٌٍَُِّْ،؟",
    "hebrew": "אבגדהוזחטיכלמנסעפצקרשתְֱֲֳִֵֶַָֹ־",
    "indic": "अआइईउऊकखगघचछजझटठडढतथदधनपफबभमयरलवशषसहािीुूेैोौ्ंःஅஆஇஈதமிழ்",
    "thai": "กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวศสหอฮะาำิีึืุูเแโใไ่้๊๋์",
    "greek and cyrillic": "αβγδεζηθικλμνξοπρστυφχψωάέήίόύώϊϋΐΰΑΒΓΔΣςабвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВІЇЄҐ",
    "latin": "àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿßœŒĀāĂăĄąĆćČčĎďĐđĒēĘęĚěĞğİıŁłŃńŇňŐőŘřŚśŞşŠšŤťŪūŮůŰűŹźŻżŽžẞṩỗ",
}
MARKS = "\u0300\u0301\u0302\u0303\u0308\u030a\u0323\u0327\u0328\u0338\u20d7\u20e3\ufe0f\ufe0e\u0489"
EMOJI = ("😀 🎉 🤗 👍🏽 👩‍💻 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 🇺🇸 ❤️ ❤ ☺️ ✈️ 1️⃣ #️⃣ 🧑🏿‍🚀 🫠 ⌚ ™ © ♥ ⚡️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿").split(" ")
SPACES = " \t\n\r\v\f\x85\xa0\u1680\u2000\u2003\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
INVISIBLE = (
    "\x00\x01\x07\x08\x0e\x1b\x1f\x7f\x80\x9f\xad\u200b\u200c\u200d\u200e\u200f"
    "\u2060\u2066\u2069\ufeff\ufff9\ufffc\ufffd\ue000\U000e0001"
)
PUNCTUATION = (
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~¡¿«»‘’“”„…–—―•·§¶†‡"
    "′″‹›€£¥₹№℃½¼²³₁⁴∑√∞≈≠≤≥±×÷→⇒←↑∀∃∈∅、。〈〉《》「」！？（），．／：；～＠＃＄％￥＆＊＿－＋＝"
)
SPECIAL = "[CLS] [SEP] [PAD] [MASK] [UNK] [unused1] [mask] [ MASK ] [MASK]. x[MASK]y <s> </s> ##ing ## #".split(" ")
CODE = """
def f(x, *, y=None): return {**x, 'k': [i ** 2 for i in range(10) if i % 3 == 0]}
for (int i = 0; i < n; ++i) { a[i] += b->c[i] & 0xFF; }  // TODO: über
SELECT name, COUNT(*) AS n FROM "users" WHERE id <> 'x''y' GROUP BY 1 HAVING n >= 2;
<div class="a b" data-x='{"k": 1}'>&nbsp;&lt;tag/&gt;</div><!-- c -->
https://example.com/a/b?c=d&e=%20f#g-h_i user.name+tag@mail.example.co.uk C:\\Users\\x\\y.txt /usr/local/bin/python3.11
^(?:[A-Z][a-z]+\\s?){2,}$ \\u00e9\\n\\t lambda_x=λx.x camelCaseWord snake_case_word SCREAMING_SNAKE __init__ a.b.c::d
if __name__ == "__main__":\tprint(f"{value!r:>{width}}")\r\n@decorator(arg=1)
""".strip("\n").split("\n")


def _prose(draw: Draw) -> str:
    words = [draw.cased(draw.one(WORDS)) for _ in range(draw.number(1, 40))]
    return " ".join(words) + draw.one([".", "!", "?", "...", "", " ,"])


def _script(draw: Draw) -> str:
    letters = SCRIPTS[draw.one(list(SCRIPTS))]
    words = ("".join(draw.one(letters) for _ in range(draw.number(1, 9))) for _ in range(draw.number(1, 8)))
    return draw.one([" ", "", "، ", "。"]).join(words)


def _marked(draw: Draw) -> str:
    letters = [
        draw.one("aeiounAEIOUNyszAあकاα가 ") + "".join(draw.several(MARKS, 0, 3)) for _ in range(draw.number(1, 20))
    ]
    return unicodedata.normalize(draw.one(["NFC", "NFD", "NFKC", "NFKD"]), "".join(letters)) + draw.one(["", "\u0301"])


def _invisible(draw: Draw) -> str:
    return "".join(draw.one(WORDS) + "".join(draw.several(INVISIBLE + SPACES, 0, 3)) for _ in range(draw.number(1, 9)))


def _random(draw: Draw) -> str:
    points = [draw.number(0, draw.one([0xFF, 0x2FFF, 0xFFFF, 0x10FFFF])) for _ in range(draw.number(0, 24))]
    return "".join(chr(point) for point in points if not 0xD800 <= point <= 0xDFFF)


_KINDS: tuple[Callable[[Draw], str], ...] = (
    _prose,
    _prose,
    _script,
    _script,
    _marked,
    _invisible,
    _random,
    lambda draw: draw.one(CODE),
    lambda draw: "".join(draw.several(EMOJI, 1, 6)) + draw.one(["", " ", " nice"]) + draw.one(EMOJI),
    lambda draw: "".join(draw.several(PUNCTUATION, 1, 12)) + draw.one(WORDS) + "".join(draw.several(PUNCTUATION, 0, 3)),
    lambda draw: draw.one(["", " "]).join(draw.several([*SPECIAL, *WORDS[:9]], 1, 6)),
    lambda draw: draw.one("aB1é漢ا.-😀") * draw.number(90, 210) + draw.one(["", " end"]),
    lambda draw: "".join(draw.several(WORDS, 5, 30)),
)


class Draw:
    """Choices that depend on a seed and on `random.Random.random` alone, which never changes between versions."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def number(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int(self._random.random() * (high - low + 1))

    def one(self, choices: Sequence[str]) -> str:
        """One of the choices."""
        return choices[self.number(0, len(choices) - 1)]

    def several(self, choices: Sequence[str], low: int, high: int) -> list[str]:
        """Between `low` and `high` of the choices, repeats allowed."""
        return [self.one(choices) for _ in range(self.number(low, high))]

    def cased(self, word: str) -> str:
        """The word as it is, capitalised or in capitals."""
        return (word, word, word, word.capitalize(), word.upper())[self.number(0, 4)]


def made(count: int) -> list[str]:
    """The first `count` lines: every kind in turn, and now and then two of them in one line."""
    lines = []
    for seed in range(count):
        draw = Draw(seed)
        line = _KINDS[seed % len(_KINDS)](draw)
        if draw.number(0, 4) == 0:
            line += draw.one([" ", "", "\n", "\u200d"]) + _KINDS[draw.number(0, len(_KINDS) - 1)](draw)
        lines.append(line)
    return lines


SHORT = 5
"""Letters of a digest that are kept where there are thousands."""


def digest(value: Any) -> str:
    """Eight letters that stand for a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
