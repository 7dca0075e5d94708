"""Languages by their codes (ISO 639-1) and by the English names that models are told in words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

_NAMES: Mapping[str, str] = dict(
    pair.split(":")
    for pair in """
    af:Afrikaans am:Amharic ar:Arabic as:Assamese az:Azerbaijani be:Belarusian bg:Bulgarian bn:Bengali bs:Bosnian
    ca:Catalan cs:Czech cy:Welsh da:Danish de:German el:Greek en:English eo:Esperanto es:Spanish et:Estonian eu:Basque
    fa:Persian fi:Finnish fr:French ga:Irish gl:Galician gu:Gujarati ha:Hausa he:Hebrew hi:Hindi hr:Croatian ht:Haitian
    hu:Hungarian hy:Armenian id:Indonesian ig:Igbo is:Icelandic it:Italian ja:Japanese ka:Georgian kk:Kazakh km:Khmer
    kn:Kannada ko:Korean ku:Kurdish ky:Kyrgyz la:Latin lo:Lao lt:Lithuanian lv:Latvian mk:Macedonian ml:Malayalam
    mn:Mongolian mr:Marathi ms:Malay mt:Maltese my:Burmese nb:Bokmål ne:Nepali nl:Dutch nn:Nynorsk no:Norwegian or:Odia
    pa:Punjabi pl:Polish ps:Pashto pt:Portuguese ro:Romanian ru:Russian si:Sinhala sk:Slovak sl:Slovenian so:Somali
    sq:Albanian sr:Serbian sv:Swedish sw:Swahili ta:Tamil te:Telugu tg:Tajik th:Thai tl:Tagalog tr:Turkish uk:Ukrainian
    ur:Urdu uz:Uzbek vi:Vietnamese xh:Xhosa yi:Yiddish yo:Yoruba zh:Chinese zu:Zulu
    """.split()
)


def code_and_name(language: str) -> tuple[str, str]:
    """The code and the English name of a language that is given by either.

    Raises:
        ValueError: it is neither; the message has the nearest.
    """
    wanted = language.casefold()
    for code, name in _NAMES.items():
        if wanted in (code, name.casefold()):
            return code, name
    both = [*_NAMES, *_NAMES.values()]
    near = difflib.get_close_matches(language, both, 3, cutoff=0.5) + difflib.get_close_matches(
        language.title(), _NAMES.values(), 3
    )
    hint = f" (the nearest are {', '.join(dict.fromkeys(near))})" if near else ""
    raise ValueError(
        f"{language!r} is no language that is known here by its code or name{hint}: use one such as 'en' or 'English', "
        "or pass prefix= with the words that the model reads"
    )
