"""Chat templates are programs that strangers wrote: a sandbox of jinja2 in which they cannot reach out, nor run on.

jinja2's own sandbox keeps templates from the attributes of Python's objects. It lets them take all time and memory, as
in `'a' * 10**9`. Here every rendering has a budget of steps, which grows with the conversation, and every operation
pays for what it is about to do: a turn of a loop for the size of the loop's body, a text for its length, a comparison
for all that lies in what is compared. What a template can do without paying lasts no longer than its own text.

Syntax and results are those of torch Transformers 4.57 (`trim_blocks`, `lstrip_blocks`, `break` and `continue`,
`raise_exception`, `strftime_now`, `tojson` without HTML escapes, `{% generation %}`).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, Set, ValuesView
from datetime import datetime
from operator import index as integer
from types import BuiltinMethodType, CodeType, MethodType
from typing import Any

import jinja2
from jinja2 import defaults, ext, filters, nodes, pass_context, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.parser import Parser
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, markup_join, str_join
from jinja2.sandbox import (
    ImmutableSandboxedEnvironment,
    SandboxedEscapeFormatter,
    SandboxedFormatter,
    modifies_known_mutable,
)
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

LONGEST_TEMPLATE = 1 << 17  # characters; the longest on the Hub have a third
MOST_NODES = 15_000  # of a template's syntax: they take a second to compile
STEPS, STEPS_PER_ITEM, STEPS_PER_CHARACTER = 1_000_000, 500, 3
"""The budget: a fixed part, and one for each value and each character of the conversation, tools and documents."""
LONGEST_TEXT, LONGEST_TEXT_FACTOR = 1 << 21, 16
"""Characters of a rendered chat: a fixed part, and so many times those of the conversation, tools and documents."""
DEEPEST = 100  # lists in lists, as far as templates may look
DEEPEST_CALL = 50  # macros in macros
MOST_BITS = 4096  # of whole numbers
WIDEST = 1000  # characters that a number or a text is padded to
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
        items, characters = _size(variables)
        sandbox = Sandbox(Meter(STEPS + STEPS_PER_ITEM * items + STEPS_PER_CHARACTER * characters))
        compiled = jinja2.Template.from_code(sandbox, _compiled(template), sandbox.make_globals(None))
        longest = LONGEST_TEXT + LONGEST_TEXT_FACTOR * characters
        pieces = []
        for piece in compiled.root_render_func(compiled.new_context(dict(variables))):
            pieces.append(piece)
            sandbox.written += len(piece)
            if sandbox.written > longest:
                raise SecurityError(f"it makes a text of more than {longest} characters")
        return Rendered("".join(pieces), sandbox.generated)
    except RecursionError:
        raise TemplateError("chat template: it is nested too deeply") from None
    except MemoryError:
        raise TemplateError("chat template: it takes more memory than there is") from None
    except Exception as error:
        raise TemplateError(_told(error, compiled)) from error


class Meter:
    """What a rendering may still do."""

    def __init__(self, steps: int) -> None:
        self.steps = self.left = steps

    def spend(self, steps: int) -> None:
        """Pay; 1 step is about a node of the template's syntax, or an item of a list.

        Raises:
            SecurityError: the budget is exhausted.
        """
        self.left -= max(steps, 0)  # a width may be negative, and must not fill the budget up
        if self.left < 0:
            raise SecurityError(
                f"it takes more than the {self.steps} steps that a conversation of this size is given, pass another "
                "chat_template="
            )

    def write(self, characters: int) -> None:
        """Pay for a text that is made."""
        self.spend(1 + (characters >> 3))

    def read(self, *values: Any, keys: bool = False) -> int:
        """Pay for everything in some values, which are about to be compared, hashed or written.

        Args:
            *values: what is read.
            keys: they become keys of a mapping. Whole numbers of more than 60 bits can be chosen so that all of them
                have the same hash, and n of them take n² steps.

        Returns:
            How deeply they are nested.

        Raises:
            SecurityError: the budget is exhausted, or they are nested too deeply, or are no good keys.
        """
        depth, level = 0, list(values)
        while level:
            depth += 1
            if depth > DEEPEST:
                raise SecurityError(f"it nests more than {DEEPEST} lists in each other")
            self.spend(len(level))
            below: list[Any] = []
            for value in level:
                if isinstance(value, str | bytes):
                    if len(value) > 63:
                        self.spend(len(value) >> 6)
                elif isinstance(value, Namespace):
                    below.append(getattr(value, "_Namespace__attrs"))  # noqa: B009 - its repr shows them
                elif isinstance(value, Mapping):
                    self.spend(len(value))
                    below.extend(value.keys())
                    below.extend(value.values())
                elif isinstance(value, _COLLECTIONS):
                    self.spend(len(value))
                    below.extend(value)
                elif keys and isinstance(value, int | float) and abs(value) >= 1 << 60:
                    raise SecurityError("a number of more than 60 bits is no key")
            level = below
        return depth


_COLLECTIONS = (list, tuple, range, Set, KeysView, ValuesView, ItemsView)


class _Drawn:
    """An iterator whose items are paid for when they are drawn."""

    __slots__ = ("_items", "_meter", "_steps")

    def __init__(self, items: Iterator[Any], meter: Meter, steps: int) -> None:
        self._items, self._meter, self._steps = items, meter, steps

    def __iter__(self) -> _Drawn:
        return self

    def __next__(self) -> Any:
        self._meter.spend(self._steps)
        return next(self._items)


class Generation(ext.Extension):
    """`{% generation %}` ... `{% endgeneration %}`: what the assistant says, of which the place is noted."""

    tags = {"generation"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> nodes.Node:
        """The block as a call."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("note"), [], [], body).set_lineno(line)

    def note(self, caller: Macro) -> str:
        """The text of the block."""
        text = caller()
        sandbox = self.environment
        assert isinstance(sandbox, Sandbox)
        sandbox.generated.append((sandbox.written, sandbox.written + len(text)))
        return text


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of one rendering.

    Attributes:
        meter: what the rendering may still do.
        written: characters of the chat so far.
        generated: see `Rendered`.
    """

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self, meter: Meter) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[Generation, ext.loopcontrols],
            optimized=False,  # or constants would be computed while compiling, which nobody pays for
            cache_size=0,
        )
        self.meter = meter
        self.written = 0
        self.generated: list[tuple[int, int]] = []
        self._depth = 0
        self.finalize = self._shown
        own = {
            "count": len,
            "format": self._format_filter,
            "join": self._join,
            "length": len,
            "sum": self._sum,
            "tojson": self._tojson,
            _TICK: self._tick,
            _READ: self._read,
            _HOLDER: self._holder,
            _KEY: self._key,
            _TAKEN: self._taken,
            _CONCAT: self._concat,
            _SPREAD: self._spread,
        }
        self.filters = {
            name: self._paid_filter(name, function)
            for name, function in defaults.DEFAULT_FILTERS.items()
            if name not in _LEFT_OUT
        } | own
        tests: Mapping[str, Any] = defaults.DEFAULT_TESTS
        self.tests = {name: self._paid_test(name, function) for name, function in tests.items()}
        kept = {name: self.globals[name] for name in ("range", "cycler", "joiner")}
        self.globals = kept | {
            "dict": self._dict,
            "namespace": self._namespace,
            "raise_exception": _raise_exception,
            "strftime_now": _strftime_now,
        }

    # What compiled templates call

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls: macros to a certain depth, and methods of texts and the like by a list."""
        self.meter.spend(12 + len(args) + len(kwargs))
        if isinstance(function, Macro | LoopContext | BlockReference):
            if self._depth >= DEEPEST_CALL:
                raise SecurityError(f"its macros call each other more than {DEEPEST_CALL} deep")
            self._depth += 1
            try:
                result = super().call(context, function, *args, **kwargs)
            finally:
                self._depth -= 1
        else:
            named = {name: value for name, value in kwargs.items() if name not in _PASSED}
            self.meter.read(*args, *named.values())
            if isinstance(function, BuiltinMethodType | MethodType):
                args = self._method(function, args, named)
            result = super().call(context, function, *args, **kwargs)
        return self._made(result)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Carry out an arithmetic operation."""
        self.meter.spend(1)
        kinds = isinstance(left, int), isinstance(right, int)
        if operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
            size = len(left) + len(right)
            self.meter.write(size) if isinstance(left, str) else self.meter.spend(size)
        elif operator == "*" and any(kinds):
            if all(kinds):
                _check_bits(left.bit_length() + right.bit_length())
            else:
                times, what = (left, right) if kinds[0] else (right, left)
                if hasattr(what, "__len__"):
                    size = max(times, 0) * len(what)
                    self.meter.write(size) if isinstance(what, str) else self.meter.spend(size)
        elif operator == "**" and all(kinds):
            _check_bits(left.bit_length() * right)
        elif operator == "%" and isinstance(left, str | bytes):
            self._check_percent(left, right)
            return self._made(left % right)
        elif operator == "-" and isinstance(left, Set):
            self.meter.read(left, right)
        return super().call_binop(context, operator, left, right)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`."""
        if isinstance(argument, tuple):  # is hashed
            self.meter.read(argument)
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
        if not isinstance(value, MethodType | BuiltinMethodType) or value.__name__ not in ("format", "format_map"):
            return None
        text = value.__self__
        if not isinstance(text, str):
            return None
        formatter = _EscapeFormatter(self, escape=text.escape) if isinstance(text, Markup) else _Formatter(self)

        def format(*args: Any, **kwargs: Any) -> str:
            self.meter.write(len(text))
            if value.__name__ == "format_map":
                (mapping,) = args
                return type(text)(formatter.vformat(text, (), mapping))
            return type(text)(formatter.vformat(text, args, kwargs))

        return format

    @pass_context
    def _shown(self, context: Context, value: Any) -> Any:
        """A value as it is written into the chat."""
        if isinstance(value, str):
            self.meter.write(len(value))
            return value
        return self._text(value)

    def _text(self, value: Any) -> str:
        """`str(value)`."""
        if not isinstance(value, str):
            self.meter.read(value)
        text = str(value)
        self.meter.write(len(text))
        return text

    def _made(self, value: Any) -> Any:
        """Pay for a result of which the size was not known before."""
        if isinstance(value, str):
            self.meter.write(len(value))
        elif isinstance(value, list | tuple):
            self.meter.spend(len(value))
        elif isinstance(value, int):
            _check_bits(value.bit_length())
        return value

    # Functions

    def _pairs(self, given: tuple[Any, ...], names: Mapping[str, Any]) -> dict[Any, Any]:
        """What `dict` makes of its arguments."""
        found: list[Any] = []
        for value in given:
            if isinstance(value, str):
                raise TypeError("a text holds no pairs")
            found.append(value if isinstance(value, Mapping) else [tuple(pair) for pair in value])
        self.meter.read(*found, keys=True)
        return dict(*found, **names)

    def _dict(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        """In place of the type, which has methods that change what they are given."""
        return self._pairs(args, kwargs)

    def _namespace(self, *args: Any, **kwargs: Any) -> Namespace:
        """In place of the type.

        Raises:
            SecurityError: a name that templates cannot read again.
        """
        names = self._pairs(args, kwargs)
        for name in names:
            if str(name).startswith("_"):
                raise SecurityError(f"{name!r} is a name of Python's own")
        return Namespace(names)

    # What `_Priced` has put into the template

    def _tick(self, steps: int) -> bool:
        if type(steps) is not int or steps < 1:  # nothing in a template may fill the budget up
            raise SecurityError(f"no filter named {_TICK!r}")
        self.meter.spend(steps)
        return True

    def _read(self, value: Any) -> Any:
        if isinstance(value, str):
            self.meter.spend(1 + (len(value) >> 6))
        elif not isinstance(value, bool | int | None):
            self.meter.read(value)
        return value

    def _holder(self, value: Any, sought: int) -> Any:
        """What is on the right of `in`; on the left of it is a text of so many characters."""
        if isinstance(value, str):
            self.meter.spend(1 + (len(value) * sought >> 6))
            return value
        return value if isinstance(value, Mapping) else self._read(value)  # of a mapping one key is compared

    def _key(self, value: Any) -> Any:
        if isinstance(value, tuple):
            self.meter.read(value)
        return value

    def _taken(self, value: Any) -> Any:
        return self._made(value)

    def _spread(self, value: Any) -> Any:
        """What becomes many arguments."""
        if hasattr(value, "__len__"):
            self.meter.spend(len(value))
        return value

    @pass_eval_context
    def _concat(self, context: nodes.EvalContext, items: tuple[Any, ...]) -> str:
        texts = [item if isinstance(item, str) else self._text(item) for item in items]
        self.meter.write(sum(map(len, texts)))
        return (markup_join if context.autoescape else str_join)(texts)

    # Filters and tests

    def _paid_filter(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter of jinja2 that pays."""
        meter, extra = self.meter, _FILTERS.get(name)
        first = int(hasattr(function, "jinja_pass_arg"))  # the argument that jinja2 passes goes before the value

        def paid(*args: Any, **kwargs: Any) -> Any:
            value: Any = args[first] if len(args) > first else None
            rest = args[first + 1 :]
            words = sum(len(word) for word in (*rest, *kwargs.values()) if isinstance(word, str))
            each = 2 + (words >> 1)  # attributes are looked up word by word
            meter.spend(each)
            if name in _LAZY:
                meter.read(*rest, *kwargs.values())
                if value:  # each item is paid for when it is looked at, whether it is taken or not
                    args = (*args[:first], _Drawn(iter(value), meter, 4 + each), *rest)
            elif name not in _CHEAP:
                if isinstance(value, Iterator):
                    value = list(value)
                    args = (*args[:first], value, *rest)
                meter.read(value, *rest, *kwargs.values(), keys=name == "unique")
                if isinstance(value, str):
                    meter.spend(len(value)) if name in _SPLITTING else meter.write(len(value))
                elif hasattr(value, "__len__"):
                    meter.spend(len(value) * (2 + each))
            if extra is not None:
                meter.write(extra(value, *rest, **kwargs))
            result = function(*args, **kwargs)
            return _Drawn(result, meter, 1) if isinstance(result, Iterator) else self._made(result)

        if first:
            paid.jinja_pass_arg = function.jinja_pass_arg  # type: ignore[attr-defined]
        return paid

    def _paid_test(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A test of jinja2 that pays, if it compares."""
        if name not in _COMPARISONS:
            return function

        def paid(*args: Any, **kwargs: Any) -> Any:
            self.meter.read(*args, *kwargs.values())
            return function(*args, **kwargs)

        return paid

    def _format_filter(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if args and kwargs:
            raise TypeError("format takes positional or named values, not both")
        text = value if isinstance(value, str) else self._text(value)
        self._check_percent(text, kwargs or args)
        return self._made(text % (kwargs or args))

    def _join(self, value: Iterable[Any], d: Any = "", attribute: str | int | None = None) -> str:
        get = filters.make_attrgetter(self, attribute) if attribute is not None else None
        texts = []
        for item in value:
            self.meter.spend(1 + (len(attribute) if isinstance(attribute, str) else 0))
            texts.append(self._text(item if get is None else get(item)))
        self.meter.write(len(self._text(d)) * len(texts))
        return str(d).join(texts)

    @pass_context
    def _sum(self, context: Context, iterable: Iterable[Any], attribute: Any = None, start: Any = 0) -> Any:
        get = filters.make_attrgetter(self, attribute) if attribute is not None else None
        for item in iterable:
            self.meter.spend(2 + (len(attribute) if isinstance(attribute, str) else 0))
            start = self.call_binop(context, "+", start, item if get is None else get(item))
        return start

    def _tojson(
        self,
        x: Any,
        ensure_ascii: bool = False,
        indent: int | str | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        width = len(indent) if isinstance(indent, str) else integer(indent or 0)
        before = self.meter.left
        depth = self.meter.read(x, separators)
        values = before - self.meter.left
        self.meter.write(values * (16 + max(width, 0) * depth + sum(map(len, separators or ()))))
        return self._made(
            json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
        )

    # Methods

    def _method(
        self, method: BuiltinMethodType | MethodType, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Any, ...]:
        """Pay for a method of one of Python's own types.

        Returns:
            The arguments, of which iterators have become lists.

        Raises:
            SecurityError: no template may call this one, or the budget is exhausted.
        """
        owner: Any = method.__self__
        name = method.__name__
        kind = next((kind for kind in (type(owner), *_METHODS) if kind in _METHODS and isinstance(owner, kind)), None)
        ours = isinstance(method, BuiltinMethodType)
        if ours and isinstance(owner, type):
            kind = owner
        elif kind is None or (kind is not str and not ours):
            return args
        if name not in _METHODS.get(kind, ()) or isinstance(owner, type):
            raise SecurityError(f"{kind.__name__}.{name} is not allowed in a chat template")
        if kind is not str:
            if name in ("index", "count"):
                self.meter.read(owner)
            elif name == "copy":
                self.meter.spend(len(owner))
            return args
        self.meter.spend(1 + (len(owner) >> 6))
        if name == "join" and args:
            items = list(args[0]) if isinstance(args[0], Iterator) else args[0]
            args = (items, *args[1:])
            self.meter.spend(len(items))  # a text among them is taken to characters
            self.meter.read(items)
        elif name in ("rsplit", "split", "splitlines"):
            self.meter.write(len(owner))
        sought = next((len(arg) for arg in args if isinstance(arg, str)), 0)
        if name in _PRODUCTS:
            self.meter.spend(len(owner) * sought >> 6)
        elif name in _SEARCHES:
            self.meter.spend(len(owner) * min(sought, _PATTERN) >> 6)
        if name in _SIZES:
            self.meter.write(_SIZES[name](owner, *args, **kwargs))
        return args

    def _check_percent(self, text: str | bytes, values: Any) -> None:
        """Pay for `text % values`.

        Raises:
            SecurityError: it pads to a width that is too large, or that is among the values.
        """
        if isinstance(text, bytes):
            raise SecurityError("% is not allowed for bytes in a chat template")
        padding = 0
        for directive in _PERCENT.finditer(text):
            widths = [width for width in directive.groups() if width]
            if "(" in directive[0][2:] or "*" in widths or any(len(width) > 3 for width in widths):
                raise SecurityError(f"{directive[0]!r:.40} is not allowed in a format, widths reach to {WIDEST - 1}")
            padding += sum(map(int, widths))
        before = self.meter.left
        self.meter.read(values)
        size = (before - self.meter.left) << 6  # read, 64 characters are a step
        times = text.count("%") if isinstance(values, Mapping) else 1  # that a value may be written
        self.meter.write(len(text) + padding + times * size)


class _Formatter(SandboxedFormatter):
    """`str.format` that pays."""

    _env: Sandbox

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        self._env.meter.spend(8 + len(field_name))
        return super().get_field(field_name, args, kwargs)

    def convert_field(self, value: Any, conversion: Any) -> Any:
        if conversion is not None:
            self._env.meter.read(value)
        return super().convert_field(value, conversion)

    def format_field(self, value: Any, format_spec: str) -> str:
        if re.search(r"\d{4}", format_spec):
            raise SecurityError(f"{format_spec!r:.40} is not allowed in a format, widths reach to {WIDEST - 1}")
        self._env.meter.read(value)
        text = super().format_field(value, format_spec)
        self._env.meter.write(len(text))
        return text


class _EscapeFormatter(_Formatter, SandboxedEscapeFormatter):
    """The same for texts that are marked as safe HTML."""


# Names of filters that no template can spell after `|`.
_TICK, _READ, _HOLDER, _KEY, _TAKEN, _CONCAT, _SPREAD = (
    f" {name}" for name in "tick read holder key taken concat spread".split()
)


class _Priced(NodeTransformer):
    """Puts into a template's syntax where it has to pay, and refuses what leads out of it."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        if node.test is not None:
            node.test = nodes.And(self._ticking(_cost(node.test)), node.test)
        return self._with_price(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        return self._with_price(self.generic_visit(node))

    visit_CallBlock = visit_Block = visit_Macro

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return self._through(_CONCAT, nodes.Tuple(node.nodes, "load"))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        sides = [node.expr, *(operand.expr for operand in node.ops)]
        holder = any(operand.op in ("in", "notin") for operand in node.ops)
        if holder or not any(isinstance(side, nodes.Const) for side in sides):
            node.expr = self._through(_READ, node.expr)
            for operand in node.ops:
                if operand.op in ("in", "notin"):
                    sought = node.expr.value if isinstance(node.expr, nodes.Const) else None
                    length = nodes.Const(min(len(sought), _PATTERN) if isinstance(sought, str) else _PATTERN)
                    operand.expr = _filter(_HOLDER, operand.expr, length)
                else:
                    operand.expr = self._through(_READ, operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return self._through(_TAKEN, node) if isinstance(node.arg, nodes.Slice) else node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:
        self.generic_visit(node)
        node.key = self._through(_KEY, node.key)
        return node

    def visit_Call(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        for name in ("dyn_args", "dyn_kwargs"):
            if getattr(node, name) is not None:
                setattr(node, name, _filter(_SPREAD, getattr(node, name)))
        return node

    visit_Filter = visit_Test = visit_Call

    def visit_NSRef(self, node: nodes.NSRef) -> nodes.Node:
        if node.attr.startswith("_"):
            raise jinja2.TemplateSyntaxError(f"{node.attr!r} is a name of Python's own", node.lineno)
        return node

    def visit_Include(self, node: nodes.Node) -> nodes.Node:
        what = {"FromImport": "from"}.get(type(node).__name__, type(node).__name__.lower())
        raise jinja2.TemplateSyntaxError(f"a chat template stands alone, {what!r} has nothing to find", node.lineno)

    visit_Import = visit_FromImport = visit_Extends = visit_Include

    def _with_price(self, node: Any) -> nodes.Node:
        node.body.insert(0, nodes.ExprStmt(self._ticking(sum(map(_cost, node.body)) + 1), lineno=node.lineno))
        return node

    def _ticking(self, steps: int) -> nodes.Expr:
        return self._through(_TICK, nodes.Const(steps))

    @staticmethod
    def _through(name: str, node: nodes.Expr) -> nodes.Expr:
        return node if name in (_READ, _KEY) and isinstance(node, nodes.Const) else _filter(name, node)


def _filter(name: str, node: nodes.Expr, *args: nodes.Expr) -> nodes.Expr:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _cost(node: nodes.Node) -> int:
    """Steps of going through a part of a template once."""
    if isinstance(node, nodes.TemplateData):
        return 1 + (len(node.data) >> 3)
    if isinstance(node, nodes.If):
        branches = [node.body, *(branch.body for branch in node.elif_), node.else_]
        tests = [node.test, *(branch.test for branch in node.elif_)]
        return 1 + sum(map(_cost, tests)) + max(sum(map(_cost, branch)) for branch in branches)
    return 1 + sum(map(_cost, node.iter_child_nodes()))


@functools.lru_cache(maxsize=COMPILED)
def _compiled(template: str) -> CodeType:
    """The program of a template.

    Raises:
        jinja2.TemplateSyntaxError, SyntaxError, RecursionError, ...: it is malformed, or too large.
    """
    if len(template) > LONGEST_TEMPLATE:
        raise SecurityError(f"it has {len(template)} characters, {LONGEST_TEMPLATE} at most are read")
    sandbox = Sandbox(Meter(0))
    try:
        tree = sandbox.parse(template)
        if (size := _count(tree)) > MOST_NODES:
            raise SecurityError(f"it has {size} parts, {MOST_NODES} at most are compiled")
        tree = _Priced().visit(tree)
        tree.set_environment(sandbox)
        return sandbox.compile(tree, filename=_FILE)
    except (RecursionError, MemoryError):  # the latter is what Python's parser says
        raise SecurityError("it is nested too deeply") from None


_FILE = "<chat template>"


def _count(node: nodes.Node) -> int:
    return 1 + sum(map(_count, node.iter_child_nodes()))


def _size(variables: Mapping[str, Any]) -> tuple[int, int]:
    """Values and characters in what a template can read; of something endless, many."""
    items = characters = 0
    level: list[Any] = [variables]
    for _ in range(DEEPEST):
        items += len(level)
        if items > _ENOUGH:
            break
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                characters += len(value)
            elif isinstance(value, Mapping):
                below.extend(value.values())
            elif isinstance(value, list | tuple):
                below.extend(value)
        level = below
    return items, characters


_ENOUGH = 1_000_000


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


def _raise_exception(message: Any) -> None:
    """How a template refuses a conversation."""
    raise jinja2.TemplateError(message)


def _strftime_now(format: str) -> str:
    """Now, in this machine's time zone, by a format of `time.strftime`."""
    if len(format) > WIDEST:
        raise SecurityError(f"a format of {len(format)} characters, {WIDEST} at most are taken")
    return datetime.now().strftime(format)


def _check_bits(bits: int) -> None:
    if bits > MOST_BITS:
        raise SecurityError(f"a whole number of more than {MOST_BITS} bits")


def _replaced(text: Any, old: Any, new: Any, count: Any = None) -> int:
    """Characters that replacing adds at most."""
    text, old, new = str(text), str(old), str(new)
    times = text.count(old)
    return (times if count is None or integer(count) < 0 else min(times, integer(count))) * len(new)


def _width(text: Any, width: Any = 80, fillchar: str = " ") -> int:
    return integer(width)


def _tabs(text: str, tabsize: Any = 8) -> int:
    return len(text) + text.count("\t") * integer(tabsize)


def _joined(text: str, items: list[Any]) -> int:
    return len(text) * len(items)


def _indented(text: Any, width: Any = 4, first: bool = False, blank: bool = False) -> int:
    return (len(str(text).splitlines()) + 1) * (len(width) if isinstance(width, str) else integer(width))


def _batched(value: Any, linecount: Any, fill_with: Any = None) -> int:
    return 8 * integer(linecount)


def _sliced(value: Any, slices: Any, fill_with: Any = None) -> int:
    return 8 * integer(slices)


def _rounded(value: Any, precision: Any = 0, method: str = "common") -> int:
    if abs(integer(precision)) > 99:
        raise SecurityError("numbers are rounded to 99 digits at most")
    return 0


def _trimmed(value: Any, chars: str | None = None) -> int:
    return len(value) * len(chars or "") >> 3 if isinstance(value, str) else 0


_PERCENT = re.compile(r"%(?:\([^)]*\))?[-+ #0]*(\*|\d*)(?:\.(\*|\d*))?")

# Characters that a filter's result may have beyond those of the value, or as much work.
_FILTERS: Mapping[str, Callable[..., int]] = {
    "batch": _batched,
    "center": _width,
    "indent": _indented,
    "replace": _replaced,
    "round": _rounded,
    "slice": _sliced,
    "trim": _trimmed,
}
# They make a list of a text's characters, each of which takes more memory than the text had for it.
_SPLITTING = frozenset("batch groupby list slice sort unique".split())
_CHEAP = frozenset("attr d default first items last random".split())
_LAZY = frozenset("map reject rejectattr select selectattr".split())
# Of no use to chats, and their time is not bounded by the length of the text, or is much.
_LEFT_OUT = frozenset("pprint striptags urlize wordwrap xmlattr".split())
_COMPARISONS = frozenset("== != < <= > >= eq equalto ne lt lessthan le gt greaterthan ge in".split())

# Methods of Python's own types that templates may call.
_METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(
        "capitalize casefold center count endswith expandtabs find index isalnum isalpha isascii isdecimal isdigit "
        "isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip partition "
        "removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith "
        "strip swapcase title upper zfill".split()
    ),
    bytes: frozenset(),
    int: frozenset({"bit_length", "is_integer"}),
    float: frozenset({"is_integer"}),
    dict: frozenset("copy get items keys values".split()),
    list: frozenset("copy count index".split()),
    tuple: frozenset("count index".split()),
    range: frozenset(),
}
# Methods that compare a text with the other at every place; those that do it only for texts of up to `_PATTERN`.
_PRODUCTS = frozenset("lstrip rfind rindex rpartition rsplit rstrip strip".split())
_SEARCHES = frozenset("count find index partition replace split".split())
_PATTERN = 100
# What compiled templates pass to whatever is called in a loop or a block.
_PASSED = frozenset({"_loop_vars", "_block_vars"})
# Characters of a method's result beyond those of the text.
_SIZES: Mapping[str, Callable[..., int]] = {
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), _width),
    "expandtabs": _tabs,
    "join": _joined,
    "replace": _replaced,
}
