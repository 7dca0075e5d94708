"""Hostile chat templates, and a program that renders them: `python hostile_chats.py quick`, or slow, or some names.

It prints one line of JSON for each: its name, seconds of this process's time, and what was said; at the end how many
MiB the process has grown by.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from jaxformers.tokenizers import sandbox


def often(body: str) -> str:
    """Ten thousand million times."""
    return "{% for i in range(99999) %}{% for j in range(99999) %}" + body + "{% endfor %}{% endfor %}"


def again(value: str, body: str) -> str:
    """Often, with something large as `a`."""
    return f"{{% set a = {value} %}}{{% for i in range(99999) %}}{body}{{% endfor %}}"


def grown(step: str, start: str = "'ab'", times: int = 60) -> str:
    """Something that is made from itself as `n.x`."""
    return f"{{% set n = namespace(x={start}) %}}{{% for i in range({times}) %}}{{% set n.x = {step} %}}{{% endfor %}}"


def doubled(what: str, start: str, times: int = 40) -> str:
    """Something small in memory that holds 2^times values, as `n.x` and once more, not the same object, as `n.y`."""
    steps = (f"{{% set n.{name} = {what.format(name=f'n.{name}')} %}}" for name in "xy")
    loop = f"{{% for i in range({times}) %}}{''.join(steps)}{{% endfor %}}"
    return f"{{% set n = namespace(x={start}, y={start}) %}}{loop}"


def colliding(number: int) -> list[str]:
    """Pairs of whole numbers that have the same hash in CPython 3.8 and later: n of them as keys take n² steps."""
    first, second, start, bits = 11400714785074694791, 14029467366897019727, 2870177450012600261, (1 << 64) - 1
    found, one = [], 0
    while len(found) < number:
        one += 1
        half = (start + one * second) & bits
        half = ((half << 31 | half >> 33) & bits) * first & bits
        other = -half * pow(second, -1, 1 << 64) & bits
        if other < 1 << 58:
            found.append(f"({one},{other})")
    assert len({hash(tuple(map(int, pair[1:-1].split(",")))) for pair in found}) == 1
    return found


LAUGHS = doubled("[{name}, {name}]", "'ha'")
TUPLES = doubled("({name}, {name})", "1")

QUICK = {
    "text * number": "{{ 'a' * 10**9 }}",
    "number * text": "{{ 10**9 * 'a' }}",
    "list * number": "{{ [0] * 10**9 }}",
    "tuple * number": "{{ ((0, 1) * 10**9)|length }}",
    "percent width": "{{ '%900000000d' % 1 }}",
    "percent precision": "{{ '%.900000000f' % 1 }}",
    "percent star": "{{ '%*d' % (900000000, 1) }}",
    "percent nested key": "{{ '%((a))900000000d' % {'(a)': 1} }}",
    "percent repeated key": "{{ ('%(a)s' * 9999) % {'a': 'x' * 99999} }}",
    "format filter": "{{ '%900000000d'|format(1) }}",
    "format method": "{{ '{:900000000d}'.format(1) }}",
    "format nested width": "{{ '{:{w}}'.format(1, w=900000000) }}",
    "format_map": "{{ '{a:>900000000}'.format_map({'a': 1}) }}",
    "format repeated": "{{ ('{0}' * 9999).format('x' * 99999) }}",
    "format class": "{{ '{0.__class__.__mro__}'.format('x') }}",
    "loops, filtered": "{% for i in range(99999) %}{% for j in range(99999) if j < 0 %}{% endfor %}{% endfor %}",
    "loops of output": often("x" * 30),
    "range": "{{ range(10**9)|list }}",
    "range beyond": "{{ range(10**30)|list }}",
    "doubling +": grown("n.x + n.x"),
    "doubling ~": grown("n.x ~ n.x"),
    "doubling lists": grown("n.x + n.x", "[1]"),
    "doubling by set block": grown("n.x %}{% set n.x %}{{ n.x }}{{ n.x }}{% endset"),
    "doubling by join": grown("[n.x, n.x]|join"),
    "doubling by str.join": grown("n.x.join([n.x, n.x])"),
    "doubling by replace": grown("n.x.replace('a', 'aa')", "'aa'"),
    "doubling by replace filter": grown("n.x|replace('a', 'aa')", "'aa'"),
    "doubling by sum": grown("[n.x, n.x]|sum(start=[])", "[1]"),
    "doubling by macro": "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}" + grown("m(n.x)"),
    "doubling by escape": grown("n.x|forceescape|string ~ n.x", "'&'"),
    "deep tuple hashed": grown("{1: n.x.items()|list|first}", "{1: 2}", 99999) + "{{ {n.x[1]: 1}|length }}",
    "self repr": "{% set n = namespace() %}{% set n.x = n %}{{ n }}",
    "macro recursion": "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}",
    "block recursion": "{% block b %}{{ self.b() }}{% endblock %}",
    "caller recursion": "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
    "loop recursion": "{% for x in [[1]] recursive %}{{ loop([x, x]) }}{% endfor %}",
    "class": "{{ ''.__class__ }}",
    "class by item": "{{ ''['__class__'] }}",
    "class by attr filter": "{{ ''|attr('__class__') }}",
    "class by map": "{{ ['']|map(attribute='__class__')|list }}",
    "globals": "{{ raise_exception.__globals__ }}",
    "globals of cycler": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "mro": "{{ cycler.mro() }}",
    "namespace class": "{{ namespace.__init__ }}",
    "code of macro": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "append": "{{ messages.append({'role': 'system'}) }}",
    "dict update": "{{ messages[0].update(role='system') }}",
    "dict type update": "{{ dict.update(messages[0], {'role': 'system'}) }}",
    "namespace underscore": "{% set n = namespace(__class__=1) %}{% set n.__class__ = 2 %}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "from import": "{% from 'os' import popen %}",
    "extends": "{% extends 'x' %}",
    "pow": "{{ 9 ** (9 ** 9) }}",
    "pow loop": grown("n.x * n.x", "9", 99999),
    "round": "{{ 5|round(-10**9) }}",
    "round ceil": "{{ 5|round(10**8, 'ceil') }}",
    "big literal": "{{ 0x" + "f" * 100000 + " * 1 }}",
    "to_bytes": "{{ (1).to_bytes(10**9, 'big') }}",
    "center": "{{ 'a'|center(10**9) }}",
    "center method": "{{ 'a'.center(10**9) }}",
    "ljust": "{{ 'a'.ljust(10**9) }}",
    "zfill": "{{ 'a'.zfill(10**9) }}",
    "expandtabs": "{{ '\t'.expandtabs(10**9) }}",
    "indent": "{{ 'a\nb'|indent(10**9) }}",
    "indent text": "{{ ('a\n' * 9999)|indent('x' * 99999) }}",
    "tojson indent": "{{ [1]|tojson(indent=10**9) }}",
    "tojson deep indent": "{{ [[[[range(9999)|list]]]]|tojson(indent=99999) }}",
    "batch": "{{ [1]|batch(10**9, 'x')|list }}",
    "slice": "{{ [1]|slice(10**9)|list }}",
    "replace empty": "{{ ('a' * 99999)|replace('', 'x' * 99999) }}",
    "translate": "{{ 'a'.translate({97: 'x' * 99999}) }}",
    "rfind": again("'a' * 999999", "{{ a.rfind('b' + 'a' * 500000) }}"),
    "strip": "{% set a = 'a' * 999999 %}{{ a.strip('b' * 999999 + 'a') }}",
    "trim": "{% set a = 'a' * 999999 %}{{ a|trim('b' * 999999 + 'a') }}",
    "substrings": again("'a' * 999999", "{{ ('a' * 4999 + 'b') in a }}"),
    "strings compared": again("'a' * 999999 %}{% set b = 'a' * 999998 + 'a'", "{{ a == b }}"),
    "slices": again("'a' * 999999", "{% set b = a[1:] %}"),
    "split": again("'a ' * 99999", "{% set b = a.split() %}"),
    "attributes": "{{ range(9999)|map(attribute='0.' * 9999)|list }}",
    "xmlattr": "{{ {'a': 1}|xmlattr }}",
    "urlize": "{{ 'x'|urlize }}",
    "lipsum": "{{ lipsum(10**9) }}",
    "encode": "{{ 'x'.encode('idna') }}",
    "strftime": "{{ strftime_now('%999999999d' * 9999) }}",
    "nested parentheses": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "nested nots": "{{ " + "not " * 50000 + "1 }}",
    "nested lists": "{{ " + "[" * 20000 + "]" * 20000 + " }}",
    "nested ifs": "{% if 1 %}" * 5000 + "{% endif %}" * 5000,
    "nested fors": "{% for a in [1] %}" * 30 + "{% endfor %}" * 30,
    "too long": "a" * 10**7,
    "fill the budget": "{{ [-10**9]|map(' tick')|list }}",
    "hex text": "{% for i in range(999) %}{{ ('f' * 99999)|int(0, 16) }}{% endfor %}",
    "tojson texts": again("'é\n' * 99999", "{% set b = a|tojson %}"),
    "tojson ascii": again("'é\n' * 99999", "{% set b = a|tojson(ensure_ascii=true) %}"),
    "many texts kept": grown("[n.x, '\U0001f600' * 99999 ~ i]", "[]", 99999),
    "escape": again("'&' * 99999", "{% set b = a|e %}"),
    "upper": again("'ß' * 99999", "{% set b = a.upper() %}"),
    "casefold": again("'ß' * 99999", "{% set b = a.casefold() %}"),
    "count": again("'ab' * 99999", "{% set b = a.count('bab') %}"),
    "count 5": again("'a' * 99999", "{% set b = a.count('aaaab') %}"),
    "find 99": again("'a' * 29999 %}{% set c = 'a' * 49 ~ 'b' ~ 'a' * 49", "{% set b = a.find(c) %}"),
    "find wide": again("'é' * 29999 %}{% set c = 'é' * 49 ~ 'b' ~ 'é' * 49", "{% set b = a.find(c) %}"),
    "replace many": again("'ab' * 99999", "{% set b = a.replace('b', 'c') %}"),
    "reverse text": again("'ab' * 99999", "{% set b = a|reverse %}"),
    "list text": again("'ab' * 99999", "{% set b = a|list %}"),
    "splitlines": again("'ab\n' * 99999", "{% set b = a.splitlines() %}"),
    "percent odd": "{{ '%999999999d' is odd }}",
    "percent divisible": "{{ '%999999999d' is divisibleby(1) }}",
    "percent selected": "{{ ['%999999999d']|select('even')|list }}",
    "percent of a list": "{{ ['%999999999d']|format(1) }}",
    "percent of a block": "{% filter format(1) %}%999999999d{% endfilter %}",
    "percent precision star": "{{ '%.*f' % (900000000, 1) }}",
    "format nested text": "{{ '{:{w}}'.format(1, w='900000000') }}",
    "format nested item": "{{ '{:{w[a]}}'.format(1, w={'a': '900000000'}) }}",
    "format by attr": "{{ ('{:999999999d}'|attr('format'))(1) }}",
    "format bound": "{% set f = '{0.__class__}'.format %}{{ f(1) }}",
    "slice of nothing": "{{ []|slice(10**9)|list|length }}",
    "center of nothing": "{{ ''|center(10**9) }}",
    "center by map": "{{ ['a']|map('center', 10**9)|list }}",
    "center by block": "{% filter center(10**9) %}x{% endfilter %}",
    "indent by set block": "{% set a | indent(10**9) %}x\ny{% endset %}{{ a }}",
    "names of macros": "{% macro "
    + "a" * 60000
    + "() %}{% endmacro %}{{ ([{}] * 30000)|string|length }}".replace("{}", "a" * 60000),
    "methods of markup": "{% set m = ('x' * 99999)|safe %}{{ ([m.upper] * 50000)|string|length }}",
    "colliding literal": "{% for i in range(999) %}{% set d = {" + ":1,".join(colliding(2800)) + ":1} %}{% endfor %}",
    "view difference": "{{ [(1, 2)] - {1: 2}.keys() }}",
    "nan for the budget": "{{ ['nan'|float]|map(' tick')|list }}",
    "wordwrap": "{{ ('a ' * 99999)|wordwrap(1) }}",
    "cycler of a text": "{{ cycler(*('\U0001f600' * 3900000)).next() }}",
    "joiner": again("joiner('x' * 999999)", "{% set b = a() %}"),
    "strftimes long": often("{{ strftime_now('%c' * 400) }}"),
}
"""What ends at once, most of it before it has begun."""

SLOW = {
    "nothing selected": again("range(99999)", "{{ a|selectattr('x', 'defined')|list }}{{ a|select('string')|list }}"),
    "refilled by a width": again(
        "1", "{{ 'a'.center(-(10**15)) }}{{ 'a'|indent(-(10**15)) }}{{ [1]|batch(-(10**15))|list }}"
    ),
    "spread text": "{% macro m() %}{{ varargs }}{% endmacro %}{{ m(*('\U0001f600' * 7000000)) }}",
    "spread calls": "{% macro m() %}{{ varargs|length }}{% endmacro %}" + again("range(99999)", "{{ m(*a) }}"),
    "spread mappings": "{% macro m() %}{{ kwargs|length }}{% endmacro %}" + again("dict(a=1)", "{{ m(**a) }}"),
    "colliding keys": "{{ dict(range(0, (2**61 - 1) * 99999, 2**61 - 1)|batch(2))|length }}",
    "colliding pairs": "{{ dict(range(0, (2**61 - 1) * 99999, 2**61 - 1)|batch(2)|map('list')|list)|length }}",
    "colliding tuples": "{% set a = [" + ",".join(colliding(2800)) + "] %}" + often("{% set b = a|unique|list %}"),
    "macro defaults": "{% macro m(a=[" + "messages[0].content," * 2500 + "]) %}{% endmacro %}" + often("{{ m() }}"),
    "sum of lists": "{{ (range(99999)|batch(1)|list)|sum(start=[])|length }}",
    "split text": "{{ ('\U0001f600 ' * 2500000).split()|length }}",
    "sorted text": "{{ ('\U0001f600' * 1100000)|sort|length }}",
    "quoted in a url": "{{ ('\U0001f600' * 1900000)|urlencode|length }}",
    "colliding unique": "{{ range(0, (2**61 - 1) * 99999, 2**61 - 1)|unique|list|length }}",
    "huge numbers": "{{ ('f' * 999999)|int(0, 16) // ('f' * 499999)|int(0, 16) }}",
    "list of a text": "{{ ('\U0001f600' * 3700000)|list|length }}",
    "split once": "{{ ('\U0001f600\U0001f600 ' * 2200000).split()|length }}",
    "join of a text": "{{ ''.join('\U0001f600' * 3700000)|length }}",
    "repr of a text": "{{ ['\ue000' * 7000000] }}",
    "quoted text": "{{ ['\U0001f600' * 3500000]|tojson(ensure_ascii=true) }}",
    "loops": often(""),
    "laughs printed": LAUGHS + "{{ n.x }}",
    "laughs tojson": LAUGHS + "{{ n.x|tojson }}",
    "laughs compared": LAUGHS + "{{ n.x == n.y }}",
    "laughs in": LAUGHS + "{{ n.x in [n.y] }}",
    "laughs test": LAUGHS + "{{ n.x is eq n.y }}",
    "laughs index": LAUGHS + "{{ [n.x].index(n.y) }}",
    "laughs sorted": LAUGHS + "{{ [n.x, n.y]|sort|length }}",
    "laughs changed": LAUGHS + "{% for i in range(2) %}{{ loop.changed(n.x if i else n.y) }}{% endfor %}",
    "laughs hashed": TUPLES + "{{ {n.x: 1} }}",
    "laughs looked up": TUPLES + "{{ {}[n.x] }}",
    "laughs get": TUPLES + "{{ {}.get(n.x) }}",
    "laughs key in": TUPLES + "{{ n.x in {} }}",
    "laughs unique": TUPLES + "{{ [n.x]|unique|list }}",
    "laughs lower": LAUGHS + "{{ n.x is lower }}",
    "laughs undefined": LAUGHS + "{{ {}[n.x].y }}",
    "laughs in a chain": LAUGHS + "{{ 1 != n.x == n.y }}",
    "laughs as a filter": TUPLES + "{{ n.x is filter }}",
    "laughs tests": LAUGHS + "{{ [n.x]|select('eq', n.y)|list }}",
    "laughs percent": LAUGHS + "{{ '%s' % n.x }}",
    "laughs format": LAUGHS + "{{ '{}'.format(n.x) }}",
    "laughs format r": LAUGHS + "{{ '{!r}'.format(n.x) }}",
    "laughs namespace": LAUGHS + "{{ n }}",
    "laughs views": LAUGHS + "{{ {1: n.x}.values() }}",
    "laughs raise": LAUGHS + "{{ raise_exception(n.x) }}",
    "macro tree": "{% macro m(d) %}{% if d %}{{ m(d - 1) }}{{ m(d - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "dict fromkeys": "{{ {}.fromkeys(range(99999)) }}",
    "list slices": again("range(99999)|list", "{% set b = a[1:] %}"),
    "urlencodes": again("'é ' * 99999", "{% set b = a|urlencode %}"),
    "many filters": "{{ 'a'" + "|upper" * 15000 + " }}",
    "random": often("{{ range(99999)|random }}"),
    "percents": often("{% set a = '%f%f%f%f%f%f' % (1,2,3,4,5,6) %}"),
    "groupbys": again("messages * 9999", "{% set b = a|groupby('role')|list %}"),
    "tojsons": again("[messages * 999]", "{% set b = a|tojson(indent=4) %}"),
    "indents": again("'é\n' * 99999", "{% set b = a|indent %}"),
    "many lists kept": grown("[n.x, range(9999)|list]", "[]", 99999),
    "isalpha": again("'ß' * 99999", "{% set b = a.isalpha() %}"),
    "isidentifier": again("'ß' * 99999", "{% set b = a.isidentifier() %}"),
    "deep list printed": grown("[n.x]", "[]", 99999) + "{{ n.x }}",
    "deep iterators": grown("n.x|map('string')", "[1]", 99999) + "{{ n.x|list }}",
    "lists of lists": grown("n.x + [range(99999)|list]", "[]", 99999),
    "join": "{{ range(99999)|join('x' * 99999) }}",
    "str.join": "{{ ('x' * 99999).join(range(99999)|map('string')) }}",
    "sorts": again("range(99999)|list", "{% set b = a|sort(reverse=true) %}"),
    "sums": "{% for i in range(999) %}{{ range(99999)|sum }}{% endfor %}",
    "maps": "{% for i in range(999) %}{{ range(99999)|map('string')|map('upper')|select('eq', 'a')|list }}{% endfor %}",
    "dotted strings": "{{ (['x'] * 9999)|map(attribute='0.' * 5000 ~ '0')|list }}",
    "searches": again("range(99999)|list", "{{ 'x' in a }}"),
    "counts": again("range(99999)|list", "{{ a.count('x') }}"),
    "float in range": "{% for i in range(9999) %}{{ 1.5 in range(99999) }}{% endfor %}",
    "titles": again("'ab ' * 99999", "{% set b = a|title %}"),
    "wordcounts": again("'ab ' * 99999", "{% set b = a|wordcount %}"),
    "long sum": "{{ 1" + " + 1" * 25000 + " }}",
    "long attribute": "{{ x" + ".x" * 30000 + " }}",
    "long elif": "{% if 1 %}" + "{% elif 1 %}" * 8000 + "{% endif %}",
    "cyclers": "{% set c = cycler(*range(99999)) %}" + often("{{ c.next() }}"),
    "calls": "{% macro m() %}{% endmacro %}" + often("{{ m() }}"),
    "getattrs": often("{{ messages[0].content.x }}"),
    "sets": often("{% set a = messages[0].role %}"),
    "view differences": "{% set d = dict(a=1, b=2) %}" + often("{% set a = d.keys() - d.keys() %}"),
    "formats": often("{% set a = '{}{}{}{}{}{}'.format(1,2,3,4,5,6) %}"),
    "dictsorts": often("{% set b = messages[0]|dictsort %}"),
    "many dicts kept": grown(
        "[n.x, {'a':1,'b':2,'c':3,'d':4,'e':5,'f':6}] %}{% endfor", "[]) %}{% for i in range(99999", 99999
    ),
    "many namespaces": grown("[n.x, namespace(a=1,b=2,c=3)] %}{% endfor", "[]) %}{% for i in range(99999", 99999),
    "loop changed": often("{{ loop.changed(i) }}"),
    "undefined": often("{{ x }}"),
    "undefined tuple": often("{% set a = messages[0][(1, 2)] %}"),
    "strftimes": often("{{ strftime_now('%c') }}"),
    "long body": "{% for i in range(99999) %}" + "{% set a = i %}" * 5000 + "{% endfor %}",
    "long if body": "{% for i in range(99999) %}" + "{% if i == 'x' %}{% endif %}" * 3000 + "{% endfor %}",
}
"""What goes on until the budget is spent: a tenth of a second, or up to one."""

MESSAGES = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]


def main(names: list[str]) -> None:
    """Render, see the module."""
    templates = QUICK | SLOW
    if names == ["quick"] or names == ["slow"]:
        names = list(QUICK if names == ["quick"] else SLOW)
    sandbox.render("warm {{ messages }}", {"messages": MESSAGES})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in names:
        start = time.process_time()
        try:
            said = f"rendered: {sandbox.render(templates[name], {'messages': MESSAGES}).text[:99]!r}"
        except ValueError as error:
            said = str(error)
        print(json.dumps([name, time.process_time() - start, said]), flush=True)
    print(json.dumps((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024))


if __name__ == "__main__":
    main(sys.argv[1:])
