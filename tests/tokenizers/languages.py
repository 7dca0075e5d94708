"""Lines in eight languages, the same on every machine: sentences, parts of them put together, what stands between."""

from __future__ import annotations

import lines

SENTENCES = {
    "en": """
The file could not be opened because another program is using it.
Please enter a valid e-mail address, then try again.
Are you sure that you want to delete 12 messages? This cannot be undone!
She said: "We'll be there at 9:30, won't we?"
The weather was cold, but the children played outside until it was dark.
Most of the words in this sentence are short; some are considerably longer.
Prices rose by 3.5% in 2019 and fell again in the following year.
    """,
    "de": """
Die Datei konnte nicht geöffnet werden, weil ein anderes Programm sie benutzt.
Bitte geben Sie eine gültige E-Mail-Adresse ein und versuchen Sie es erneut.
Möchten Sie wirklich 12 Nachrichten löschen? Das lässt sich nicht rückgängig machen!
Sie sagte: „Wir sind um 9:30 Uhr da, nicht wahr?“
Das Wetter war kalt, aber die Kinder spielten draußen, bis es dunkel wurde.
Die meisten Wörter dieses Satzes sind kurz; einige sind außergewöhnlich lang.
Die Preise stiegen 2019 um 3,5 % und fielen im folgenden Jahr wieder.
    """,
    "fr": """
Le fichier n’a pas pu être ouvert, car un autre programme l’utilise.
Veuillez saisir une adresse électronique valide, puis réessayez.
Voulez-vous vraiment supprimer 12 messages ? Cette action est irréversible !
Elle a dit : « Nous y serons à 9 h 30, n’est-ce pas ? »
Il faisait froid, mais les enfants ont joué dehors jusqu’à la tombée de la nuit.
La plupart des mots de cette phrase sont courts ; certains sont bien plus longs.
Les prix ont augmenté de 3,5 % en 2019, puis baissé l’année suivante.
    """,
    "ru": """
Не удалось открыть файл, так как он используется другой программой.
Введите правильный адрес электронной почты и попробуйте ещё раз.
Вы действительно хотите удалить 12 сообщений? Это нельзя отменить!
Она сказала: «Мы будем там в 9:30, не так ли?»
Погода была холодной, но дети играли на улице до темноты.
Большинство слов в этом предложении короткие; некоторые значительно длиннее.
Цены выросли на 3,5 % в 2019 году и снова упали в следующем.
    """,
    "ar": """
تعذر فتح الملف لأن برنامجا آخر يستخدمه.
يرجى إدخال عنوان بريد إلكتروني صالح ثم المحاولة مرة أخرى.
هل تريد حقا حذف ١٢ رسالة؟ لا يمكن التراجع عن ذلك!
قالت: «سنكون هناك في الساعة 9:30، أليس كذلك؟»
كان الجو باردا، لكن الأطفال لعبوا في الخارج حتى حل الظلام.
معظم كلمات هذه الجملة قصيرة؛ وبعضها أطول بكثير.
ارتفعت الأسعار بنسبة 3.5٪ في عام 2019 ثم انخفضت في العام التالي.
    """,
    "hi": """
फ़ाइल नहीं खोली जा सकी क्योंकि कोई दूसरा प्रोग्राम उसका उपयोग कर रहा है।
कृपया एक मान्य ई-मेल पता दर्ज करें और फिर से प्रयास करें।
क्या आप सचमुच 12 संदेश हटाना चाहते हैं? इसे वापस नहीं लाया जा सकता!
उसने कहा: "हम 9:30 बजे वहाँ होंगे, है ना?"
मौसम ठंडा था, लेकिन बच्चे अँधेरा होने तक बाहर खेलते रहे।
इस वाक्य के अधिकतर शब्द छोटे हैं; कुछ बहुत लंबे हैं।
2019 में कीमतें 3.5% बढ़ीं और अगले साल फिर गिर गईं।
    """,
    "zh": """
无法打开该文件，因为另一个程序正在使用它。
请输入有效的电子邮件地址，然后重试。
您确定要删除12条消息吗？此操作无法撤消！
她说：“我们九点半到那里，对吗？”
天气很冷，但孩子们一直在外面玩到天黑。
这个句子里的大多数词都很短；有些则长得多。
2019年价格上涨了3.5%，次年又下跌了。
    """,
    "ja": """
別のプログラムが使用しているため、ファイルを開けませんでした。
有効なメールアドレスを入力して、もう一度お試しください。
本当に12件のメッセージを削除しますか？この操作は取り消せません！
彼女は「9時30分に着くよね？」と言った。
寒かったけれど、子どもたちは暗くなるまで外で遊んでいた。
この文の単語のほとんどは短いが、ずっと長いものもある。
2019年に価格は3.5％上昇し、翌年また下落した。
    """,
}
"""Language → sentences that say the same in each."""

BETWEEN = (
    " ",
    "  ",
    "\n",
    "\t ",
    "",
    " – ",
    " ... ",
    " 😀 ",
    " \u200b",
    "<unk>",
    " </s> ",
    "</s>",
    "▁",
    " ▁▁ ",
    "#",
    " 7 ",
)


def sentences(language: str) -> list[str]:
    """The sentences of one language."""
    return [line for line in SENTENCES[language].splitlines() if line.strip()]


def made(count: int) -> list[str]:
    """The first `count` lines: whole sentences, parts of them in one and in several languages, and hostile ones."""
    found: list[str] = []
    hostile = iter(lines.made(count))
    for seed in range(count):
        draw = lines.Draw(seed)
        language = list(SENTENCES)[seed % len(SENTENCES)]
        text = draw.one(sentences(language))
        kind = draw.number(0, 5)
        if kind == 1:
            other = draw.one(sentences(draw.one(list(SENTENCES))))
            text = text[: draw.number(0, len(text))] + draw.one(BETWEEN) + other[draw.number(0, len(other)) :]
        elif kind == 2:
            start = draw.number(0, len(text))
            text = draw.one(BETWEEN) + text[start : start + draw.number(0, 30)] + draw.one(BETWEEN)
        elif kind == 3:
            text = " ".join(draw.cased(word) for word in text.split(" "))
        elif kind == 4:
            text += draw.one(BETWEEN) + draw.one(sentences(language))
        found.append(next(hostile) if kind == 5 else text)
    return found
