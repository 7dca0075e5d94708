"""Chat templates are programs that strangers wrote: a sandbox of jinja2 in which they cannot reach out, nor run on.

jinja2's own sandbox keeps templates from the attributes of Python's objects. It lets them take all time and memory, as
in `'a' * 10**9`. Here every rendering has a budget of steps, which grows with the conversation. Two things spend it: a
turn of a loop, or a call of a macro, pays for the size of its body; and whatever a template does to values (filters,
tests, methods, operators) goes through `Sandbox.run`, which pays for all that is read and may be written, before it is
done. The tables at the end say what is cheaper or dearer than reading its operands once; what they do not know pays as
if each part of the one operand was compared with each of the other.

Syntax and results are those of torch Transformers 4.57 (`trim_blocks`, `lstrip_blocks`, `break` and `continue`,
`raise_exception`, `strftime_now`, `tojson` without HTML escapes, `{% generation %}`).
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import re
import string
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Set, ValuesView
from datetime import datetime
from operator import index as integer
from types import BuiltinMethodType, CodeType, MethodType
from typing import Any, NoReturn

import jinja2
from jinja2 import defaults, ext, filters, nodes, pass_context, pass_environment
from jinja2.exceptions import SecurityError
from jinja2.parser import Parser
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, modifies_known_mutable
from jinja2.tests import test_in
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

LONGEST_TEMPLATE = 1 << 17  # characters; the longest on the Hub have a third
MOST_STEPS = 15_000  # for going through a template once: its syntax takes a second to compile
STEPS, STEPS_PER_VALUE, STEPS_PER_CHARACTER = 1_000_000, 250, 3
"""The budget: a fixed part, and one for each value or key and each character of the conversation, tools, documents."""
MOST_VALUES = 10_000_000  # in these
DEEPEST = 100  # lists in lists, as far as templates may look
DEEPEST_CALL = 50  # macros in macros
MOST_BITS = 64  # of whole numbers: larger ones can be chosen so that all have the same hash
MOST_TUPLES = 50  # keys that are tuples, for the same reason
LONGEST_TIME = 1000  # characters of a format of times
COMPILED = 32  # templates that are kept compiled


class TemplateError(jinja2.TemplateError, ValueError):
    """A chat template is malformed, refuses the conversation, or does what the sandbox forbids."""


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A chat as text.

    Attributes:
        text: the text.
        generated: start and end, in characters, of each `{% generation %}` block in it.
    """

    text: str
    generated: list[tuple[int, int]]


def render(template: str, variables: Mapping[str, Any]) -> Rendered:
    """Render one conversation.

    Args:
        template: the text of a chat template.
        variables: what it can read: `messages` and the others.

    Raises:
        TemplateError: also a ValueError; the template is malformed, calls `raise_exception`, fails, or exceeds the
            sandbox's limits. The message is one line.
    """
    compiled: jinja2.Template | None = None
    try:
        sandbox = copy.copy(_sandbox())
        sandbox.start(variables)
        compiled = jinja2.Template.from_code(sandbox, _compiled(template), sandbox.make_globals(None))
        pieces = []
        for piece in compiled.root_render_func(compiled.new_context(dict(variables))):
            pieces.append(piece)
            sandbox.written += len(piece)
        return Rendered("".join(pieces), sandbox.generated)
    except RecursionError:
        raise TemplateError("chat template: it is nested too deeply") from None
    except MemoryError:
        raise TemplateError("chat template: it takes more memory than there is") from None
    except Exception as error:
        raise TemplateError(_told(error, compiled)) from error


class Generation(ext.Extension):
    """`{% generation %}` ... `{% endgeneration %}`: what the assistant says, of which the place is noted."""

    tags = {"generation"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> nodes.Node:
        """The block as a call."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("note"), [], [], body).set_lineno(line)

    @pass_environment
    def note(self, sandbox: Sandbox, caller: Macro) -> str:
        """The text of the block."""
        text = caller()
        sandbox.generated.append((sandbox.written, sandbox.written + len(text)))
        return text


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of templates; each rendering has a copy.

    Attributes:
        steps: what the rendering may do.
        left: what is left of it.
        depth: how many macros call each other at present.
        written: characters of the chat so far.
        generated: see `Rendered`.
    """

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[Generation, ext.loopcontrols],
            optimized=False,  # or constants would be computed while compiling, which nobody pays for
            finalize=_shown,
            loader=jinja2.FunctionLoader(_load),
            cache_size=0,
        )
        own: dict[str, Any] = {"round": _round, "sum": _sum, "tojson": _tojson}
        paid = {**defaults.DEFAULT_FILTERS, **own}.items()
        self.filters = _HOOKS | {
            name: function if name in _FREE_FILTERS else _paid(name, function)
            for name, function in paid
            if name not in _LEFT_OUT
        }
        tests: Mapping[str, Any] = defaults.DEFAULT_TESTS
        self.tests = {name: test if name in _FREE_TESTS else _paid(name, test) for name, test in tests.items()}
        self.tests["in"] = _in
        self.globals = {name: self.globals[name] for name in ("range", "cycler", "joiner")} | {
            "dict": _dict,  # the type has methods that change what they are given
            "namespace": _namespace,
            "raise_exception": _raise_exception,
            "strftime_now": _strftime_now,
        }

    def start(self, variables: Mapping[str, Any]) -> None:
        """Set the budget of a rendering."""
        self.written, self.depth = 0, 0
        self.generated: list[tuple[int, int]] = []
        self.steps = self.left = MOST_VALUES
        characters = self.size(variables)
        values = MOST_VALUES - self.left
        self.steps = self.left = STEPS + STEPS_PER_VALUE * values + STEPS_PER_CHARACTER * characters

    def spend(self, steps: int) -> None:
        """Pay; 1 step is about a node of the template's syntax, an item of a list or 8 characters.

        Raises:
            SecurityError: the budget is exhausted.
        """
        self.left -= steps
        if self.left < 0:
            raise SecurityError(
                f"it takes more than the {self.steps} steps that a conversation of this size is given, pass another "
                "chat_template="
            )

    def size(self, *values: Any) -> int:
        """About how many characters some values have when they are written, each of which is visited and paid for.

        An item counts as often as it is deep, as `tojson` indents it.

        Raises:
            SecurityError: the budget is exhausted, or they are nested too deeply.
        """
        characters = depth = 0
        level: Any = values
        while level:
            depth += 1
            if depth > DEEPEST:
                raise SecurityError(f"it nests more than {DEEPEST} lists in each other")
            below: list[Any] = []
            for value in level:
                if isinstance(value, _TEXTS):
                    characters += len(value)
                elif isinstance(value, int):
                    characters += value.bit_length() >> 2
                elif (shown := _SHOWN.get(type(value))) is not None:
                    below.append(getattr(value, shown))
                elif isinstance(value, _COLLECTIONS):
                    for part in (value, value.values()) if isinstance(value, Mapping) else (value,):
                        self.spend(len(part))
                        characters += 8 * depth * len(part)
                        below.extend(part)
            level = below
        return characters

    def run(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Carry out a filter, test, method or operator on its first argument, and pay for it.

        Args:
            name: which; the tables of prices know it.
            function: what carries it out.
            *args: its operands; iterators are read, and become lists.
            **kwargs: more of them.

        Raises:
            SecurityError: the budget does not reach, or a format takes a width from its values.
        """
        if name in _LOOKS:
            self.spend(1 + (self.size(*args[1:], *kwargs.values()) >> 3))
            return function(*args, **kwargs)
        given = [value if isinstance(value, str) or not isinstance(value, Iterator) else list(value) for value in args]
        first: Any = given[0] if given else None
        more = self.size(*given[1:], *kwargs.values())
        if name in _SHALLOW:
            size = work = 16 * len(first) if hasattr(first, "__len__") else 0
        else:
            size = self.size(first)
            work = size * _PARTS.get(name, 1) if isinstance(first, str) else size
        work += more
        if name in _FORMATS and not isinstance(first, _NUMBERS):
            text = str(first)
            if re.search(r"%[-+ #0\d.]*\*", text):
                raise SecurityError("a width of '*' is not allowed in a format: write the number")
            work += sum(map(int, re.findall(r"\d+", text)))  # widths, if they are
            size = text.count("%") + text.count("{")
        if name in _GROWING:
            size += 8
            counts = (value for value in (*given[1:], *kwargs.values()) if isinstance(value, int))
            work += size * (more + sum(map(abs, counts)))
        elif name == "unique":
            work += len(first) ** 2 >> 1  # tuples can be chosen so that all have the same hash
        elif name not in _LINEAR:
            work += size * more >> 3
        self.spend(1 + (work >> 3))
        return self.made(function(*given, **kwargs))

    def made(self, value: Any) -> Any:
        """Pay for a result."""
        if isinstance(value, str):
            self.spend(len(value) >> 3)
        elif isinstance(value, int):
            if value.bit_length() > MOST_BITS:
                raise SecurityError(f"a whole number of more than {MOST_BITS} bits")
        elif isinstance(value, _CONTAINERS):
            self.spend(len(value))
        elif isinstance(value, Iterator):
            return iter(self.made(list(value)))
        return value

    # What compiled templates call

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls: macros to a certain depth, and methods of texts and the like by a list."""
        self.spend(12 + len(args) + len(kwargs))
        if isinstance(function, _RECURSIVE):
            if self.depth >= DEEPEST_CALL:
                raise SecurityError(f"its macros call each other more than {DEEPEST_CALL} deep")
            self.depth += 1
            try:
                return self.made(super().call(context, function, *args, **kwargs))
            finally:
                self.depth -= 1
        passed = {name: kwargs.pop(name) for name in ("_loop_vars", "_block_vars") if name in kwargs}
        owner = getattr(function, "__self__", None)
        if isinstance(owner, str) or (isinstance(function, BuiltinMethodType) and isinstance(owner, _PLAIN)):
            name = function.__name__
            if name not in _METHODS or isinstance(owner, bytes):
                raise SecurityError(f"{type(owner).__name__}.{name} is not allowed in a chat template")
            return self.run(name, lambda _, /, *args, **kwargs: function(*args, **kwargs), owner, *args, **kwargs)
        return self.run("call", functools.partial(super().call, context, function, **passed), *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Carry out an arithmetic operation."""
        function = self.binop_table[operator]
        if operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
            size = len(left) + len(right)
            self.spend(1 + (size >> 3) if isinstance(left, str) else size)
            return function(left, right)
        if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
            if operator == "**" and abs(right) > MOST_BITS and not isinstance(left, float):
                raise SecurityError(f"a power of more than {MOST_BITS}")
            self.spend(1)
            return self.made(function(left, right))
        if isinstance(left, Set) or isinstance(right, Set):
            raise SecurityError(f"{operator!r} of sets is not for templates")  # it hashes tuples
        if operator == "*" and isinstance(left, int):
            left, right = right, left
        return self.run(operator, function, left, right)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`, which hashes the argument, and shows it in errors."""
        if not isinstance(argument, _SCALARS):
            self.size(argument)
        return super().getitem(obj, argument)

    def unsafe_undefined(self, obj: Any, attribute: str) -> jinja2.Undefined:
        """What stands for a method that would change the conversation: an error once it is used.

        Raises:
            SecurityError: anything else that is unsafe: no template has a use for it.
        """
        if modifies_known_mutable(obj, attribute):
            return super().unsafe_undefined(obj, attribute)
        raise SecurityError(f"{attribute!r} of a {type(obj).__name__} is not for templates")

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """The sandboxed method for `str.format` and `str.format_map`; None for anything else."""
        function = super().wrap_str_format(value)
        if function is None:
            return None
        text: str = value.__self__

        def format(*args: Any, **kwargs: Any) -> str:
            for _, _, width, _ in string.Formatter().parse(text):
                if "{" in (width or ""):
                    raise SecurityError(f"{width!r:.40} in a format: write the number")
            return self.run("format", lambda _, /, *given, **named: function(*given, **named), text, *args, **kwargs)

        return format


@functools.cache
def _sandbox() -> Sandbox:
    return Sandbox()


def _paid(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test of jinja2 that pays."""
    wanted = getattr(function, "jinja_pass_arg", None)

    @pass_context
    def paid(context: Context, /, *args: Any, **kwargs: Any) -> Any:
        sandbox: Any = context.environment
        if wanted is None:
            return sandbox.run(name, function, *args, **kwargs)
        given = {"context": context, "eval_context": context.eval_ctx, "environment": sandbox}[wanted.name]
        return sandbox.run(name, functools.partial(function, given), *args, **kwargs)

    return paid


@pass_environment
def _shown(sandbox: Sandbox, value: Any) -> Any:
    """A value as it is written into the chat."""
    if isinstance(value, str):
        sandbox.spend(1 + (len(value) >> 3))
        return value
    return sandbox.run("string", str, value)


# Functions and filters


@pass_environment
def _dict(sandbox: Sandbox, /, *args: Any, **kwargs: Any) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for given in args:
        for key, value in given.items() if isinstance(given, Mapping) else given:
            sandbox.spend(2)
            if isinstance(key, tuple):
                raise SecurityError("a tuple is no key")
            found[key] = value
    return found | kwargs


@pass_environment
def _namespace(sandbox: Sandbox, /, *args: Any, **kwargs: Any) -> Namespace:
    names = _dict(sandbox, *args, **kwargs)
    for name in names:
        if str(name).startswith("_"):
            raise SecurityError(f"{name!r} is a name of Python's own")
    return Namespace(names)


@pass_environment
def _in(sandbox: Sandbox, value: Any, seq: Any) -> bool:
    if not isinstance(seq, Mapping):
        return sandbox.run("in", test_in, value, seq)
    sandbox.spend(1 + (sandbox.size(value) >> 3))  # one key is compared
    return value in seq


def _raise_exception(message: Any) -> NoReturn:
    """How a template refuses a conversation."""
    raise jinja2.TemplateError(message)


def _strftime_now(format: str) -> str:
    """Now, in this machine's time zone, by a format of `time.strftime`."""
    if len(format) > LONGEST_TIME:
        raise SecurityError(f"a format of {len(format)} characters, {LONGEST_TIME} at most are taken")
    return datetime.now().strftime(format)


def _load(name: str) -> NoReturn:
    raise SecurityError(f"a chat template stands alone, there is no {name!r:.40} to include, import or extend")


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    if abs(integer(precision)) > 99:
        raise SecurityError("numbers are rounded to 99 digits at most")
    return filters.do_round(value, precision, method)


@pass_context
def _sum(context: Context, iterable: Any, attribute: Any = None, start: Any = 0) -> Any:
    sandbox: Any = context.environment
    items = iterable if attribute is None else map(filters.make_attrgetter(sandbox, attribute), iterable)
    return functools.reduce(functools.partial(sandbox.call_binop, context, "+"), items, start)


def _tojson(
    x: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


# Compiling


class _Metering(NodeTransformer):
    """Puts into a template's syntax where it has to pay."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.test is not None:
            node.test = nodes.And(_filter(" tick", nodes.Const(_cost(node.test))), node.test)
        return self.visit_Macro(node)

    def visit_Macro(self, node: Any) -> nodes.Node:
        tick = _filter(" tick", nodes.Const(_cost(node)))  # with the defaults of a macro
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(tick, lineno=node.lineno))
        return node

    visit_CallBlock = visit_Block = visit_Macro

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filter("join", nodes.Tuple(node.nodes, "load", lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        """Comparisons as tests, which pay; those with a constant need not."""
        self.generic_visit(node)
        sides = [node.expr, *(operand.expr for operand in node.ops)]
        if all(
            operand.op in _TESTS and (isinstance(left, nodes.Const) or isinstance(operand.expr, nodes.Const))
            for left, operand in zip(sides, node.ops, strict=False)
        ):
            return node
        found: list[nodes.Expr] = []
        for left, operand in zip(sides, node.ops, strict=False):
            name = _TESTS.get(operand.op, "in")
            test = nodes.Test(left, name, [operand.expr], [], None, None, lineno=node.lineno)
            found.append(nodes.Not(test, lineno=node.lineno) if operand.op == "notin" else test)
        return functools.reduce(nodes.And, found)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return _filter(" made", node) if isinstance(node.arg, nodes.Slice) else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        self.generic_visit(node)
        for pair in node.items:
            if not isinstance(pair.key, nodes.Const):
                pair.key = _filter(" key", pair.key, nodes.Const(len(node.items)))
        return node

    def visit_Call(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        for name, paid in (("dyn_args", "list"), ("dyn_kwargs", " made")):
            if getattr(node, name) is not None:
                setattr(node, name, _filter(paid, getattr(node, name)))
        return node

    visit_Filter = visit_Test = visit_Call

    def visit_Const(self, node: nodes.Const) -> nodes.Node:
        if isinstance(node.value, int) and node.value.bit_length() > MOST_BITS:
            raise jinja2.TemplateSyntaxError(f"a whole number of more than {MOST_BITS} bits", node.lineno)
        return node

    def visit_NSRef(self, node: nodes.NSRef) -> nodes.Node:
        if node.attr.startswith("_"):
            raise jinja2.TemplateSyntaxError(f"{node.attr!r} is a name of Python's own", node.lineno)
        return node


_TESTS = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}


def _filter(name: str, node: nodes.Expr, *args: nodes.Expr) -> nodes.Expr:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


@pass_environment
def _tick(sandbox: Sandbox, steps: int) -> bool:
    sandbox.spend(abs(integer(steps)))  # templates can reach it through `map`
    return True


@pass_environment
def _made(sandbox: Sandbox, value: Any) -> Any:
    return sandbox.made(value)


@pass_environment
def _key(sandbox: Sandbox, value: Any, keys: int) -> Any:
    if isinstance(value, tuple):
        sandbox.size(value)
        if keys > MOST_TUPLES:
            raise SecurityError(f"a mapping of more than {MOST_TUPLES} keys with a tuple among them")
    return value


_HOOKS = {" tick": _tick, " made": _made, " key": _key}


def _cost(node: nodes.Node) -> int:
    """Steps of going through a part of a template once, which is the number of its nodes but for long texts."""
    own = len(node.data) >> 3 if isinstance(node, nodes.TemplateData) else 0
    return 1 + own + sum(map(_cost, node.iter_child_nodes()))


@functools.lru_cache(maxsize=COMPILED)
def _compiled(template: str) -> CodeType:
    """The program of a template.

    Raises:
        jinja2.TemplateSyntaxError, SyntaxError, RecursionError, ...: it is malformed, or too large.
    """
    if len(template) > LONGEST_TEMPLATE:
        raise SecurityError(f"it has {len(template)} characters, {LONGEST_TEMPLATE} at most are read")
    sandbox = _sandbox()
    try:
        tree = sandbox.parse(template)
        if (size := _cost(tree)) > MOST_STEPS:
            raise SecurityError(f"it has {size} parts, {MOST_STEPS} at most are compiled")
        tree = _Metering().visit(tree)
        tree.set_environment(sandbox)
        return sandbox.compile(tree, filename=_FILE)
    except (RecursionError, MemoryError):  # the latter is what Python's parser says
        raise SecurityError("it is nested too deeply") from None


_FILE = "<chat template>"


def _told(error: Exception, template: jinja2.Template | None) -> str:
    """One line about what has gone wrong, with the template's own line where it is known."""
    line = getattr(error, "lineno", None) if isinstance(error, jinja2.TemplateSyntaxError) else None
    trace = error.__traceback__
    while template is not None and trace is not None:
        if trace.tb_frame.f_code.co_filename == _FILE:
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    known = isinstance(error, jinja2.TemplateError)
    message = str((error.message if isinstance(error, jinja2.TemplateError) else error) or "")[:2000]
    where = "chat template" if line is None else f"chat template, line {line}"
    return " ".join(f"{where}: {'' if known else f'{type(error).__name__}: '}{message}".split())[:500]


# Prices: names of filters, tests, methods and operators, which mean the same where they are the same

_FREE_FILTERS = frozenset("count d default first items last length random".split())
_LOOKS = frozenset("attr endswith get items keys startswith values".split())
"""They look at a few parts of their first operand, however large it is."""
_SHALLOW = frozenset("batch list map reject rejectattr reverse select selectattr slice *".split())
"""They take the items of a list one by one, but do not look into these."""
_PARTS = dict.fromkeys("indent rsplit split splitlines title urlencode wordcount".split(), 4) | dict.fromkeys(
    "dictsort expandtabs groupby join max min sort unique".split(), 8
)
"""They take a text to pieces, which need more memory than it does: so many times."""
_LINEAR = frozenset("== != < <= > >= eq equalto ne lt lessthan le gt greaterthan ge call truncate".split())
"""They read both operands once."""
_GROWING = frozenset("* % batch center expandtabs format indent join ljust replace rjust slice tojson zfill".split())
"""They may write the second operand, or as many characters as it says, for each character of the first."""
_FORMATS = frozenset("% divisibleby even format odd".split())
"""They take a text for a format, with widths in it."""
_FREE_TESTS = frozenset(
    "boolean callable defined escaped false float integer iterable mapping none number sameas sequence string "
    "true undefined".split()
)
"""Tests that look at what kind of value it is."""
_LEFT_OUT = frozenset("pprint striptags urlize wordwrap xmlattr".split())
"""Filters of no use to chats, whose time is not bounded by the length of the text, or is much."""
_METHODS = frozenset(
    "bit_length capitalize casefold center copy count endswith expandtabs find get index is_integer isalnum "
    "isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper items "
    "join keys ljust lower lstrip partition removeprefix removesuffix replace rfind rindex rjust rpartition "
    "rsplit rstrip split splitlines startswith strip swapcase title upper values zfill".split()
)
"""Methods of Python's own types that templates may call."""
_TEXTS, _NUMBERS, _SCALARS, _CONTAINERS = (str, bytes), (int, float), (str, int, float), (list, tuple, dict)
_RECURSIVE = (Macro, LoopContext, BlockReference)
_PLAIN = (type, str, bytes, int, float, dict, list, tuple, range)
_COLLECTIONS = (list, tuple, range, Mapping, Set, KeysView, ValuesView, ItemsView)
_SHOWN = {Namespace: "_Namespace__attrs", Macro: "name", MethodType: "__self__"}
"""What is written out when such a value is."""
