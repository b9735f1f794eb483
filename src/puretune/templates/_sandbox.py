"""The sandbox in which a model's chat template runs: Jinja as transformers sets it up, within a budget.

A template that stays within the budget makes the text that ``apply_chat_template`` makes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, wraps
from typing import Any

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from puretune.templates._amplifiers import check_call, check_operation
from puretune.templates._budget import Budget, Counted, Drawn, Exceeded, current, measure, spending

LONGEST_SOURCE = 262_144
"""Characters of a chat template (the longest that are in use have some 50,000)."""
_LARGEST_INPUT = 1 << 30


def run_chat_template(source: str, variables: Mapping[str, Any]) -> str:
    """The text that a chat template makes; Exceeded where it uses more than it may, or whatever it raises."""
    if len(source) > LONGEST_SOURCE:
        raise Exceeded(f"it has {len(source):,} characters (at most {LONGEST_SOURCE:,})")
    template = _compiled(source)
    budget = Budget(measure(dict(variables), _LARGEST_INPUT).size)
    with spending(budget):
        text = "".join(template.generate(**variables))
        budget.step(len(text))
    return text


@lru_cache(maxsize=32)
def _compiled(source: str) -> Template:
    return _ENVIRONMENT().from_string(source)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox, in which every operation, call, filter and turn of a loop is paid for."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, loopcontrols],
            finalize=_written,
        )
        self.filters["tojson"] = _tojson
        del self.filters["random"]  # not repeatable
        del self.globals["lipsum"]
        self.filters = {name: _paid_filter(name, made) for name, made in self.filters.items()}
        self.globals |= {"raise_exception": _raise, "dict": dict, "namespace": _Namespace}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Paid().visit(super()._parse(source, name, filename))
        tree.set_environment(self)
        return tree

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        check_operation(operator, left, right)
        return current().made(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(__obj, "__self__", None) is __self:
            return __obj(*args)
        inner = getattr(__obj, "__wrapped__", __obj)
        if isinstance(__obj, LoopContext):
            args = (Counted(args[0], 1), *args[1:])
        else:
            check_call(getattr(inner, "__name__", ""), getattr(inner, "__self__", None), args, kwargs)
        current().step()
        return _paid(super().call(__context, __obj, *args, **kwargs))

    # what the parsed template calls in place of Jinja's own (_Paid)

    def counted(self, over: Any, size: int) -> Counted:
        """What a loop goes over."""
        return Counted(over, size)

    def joined(self, *parts: Any) -> str:
        """``a ~ b``"""
        measured = current().made(list(parts))
        return "".join(map(str, measured))

    def sliced(self, value: Any, start: Any, stop: Any, step: Any) -> Any:
        """``value[start:stop:step]``"""
        return current().made(value[start:stop:step])

    def built(self, value: Any) -> Any:
        """A list, tuple or mapping that the template writes down."""
        return current().made(value)


_ENVIRONMENT: Callable[[], _Environment] = lru_cache(maxsize=1)(_Environment)


class _Paid(NodeTransformer):
    """Puts calls of the environment in place of what Jinja compiles to plain Python."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        size = 1 + sum(len(said.data) for said in node.find_all(nodes.TemplateData))
        self.generic_visit(node)
        node.iter = _call("counted", [node.iter, nodes.Const(size)], node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call("joined", node.nodes, node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        ends = (node.arg.start, node.arg.stop, node.arg.step)
        parts: list[nodes.Expr] = [part or nodes.Const(None) for part in ends]
        return _call("sliced", [node.node, *parts], node)

    def visit_List(self, node: nodes.List) -> nodes.Node:
        return self._built(node, node.items)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        return self._built(node, node.items) if node.ctx == "load" else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        return self._built(node, [part for pair in node.items for part in (pair.key, pair.value)])

    def _built(self, node: nodes.Expr, parts: Sequence[nodes.Expr]) -> nodes.Expr:
        self.generic_visit(node)
        if all(isinstance(part, nodes.Const) for part in parts):
            return node
        return _call("built", [node], node)


def _call(name: str, arguments: Sequence[nodes.Node], at: nodes.Node) -> nodes.Expr:
    made = nodes.Call(nodes.EnvironmentAttribute(name), list(arguments), [], None, None)
    return made.set_lineno(at.lineno)  # type: ignore[return-value]


class _Generation(Extension):
    """``{% generation %}``: marks what an assistant says; it changes no text."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


class _Namespace(Namespace):
    """A namespace without private attributes, whose text does not show what is in it."""

    def __setitem__(self, name: str, value: Any) -> None:
        if str(name).startswith("_"):
            raise TemplateError(f"a namespace cannot have the attribute {name!r}")
        super().__setitem__(name, value)

    def __repr__(self) -> str:
        return "<namespace>"


def _paid(value: Any) -> Any:
    """A result, paid for; iterators are drawn first."""
    if isinstance(value, Iterator) and not isinstance(value, Drawn | LoopContext):
        value = Drawn(value)
    return current().made(value)


def _paid_filter(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
    takes_context = hasattr(run, "jinja_pass_arg")

    @wraps(run)
    def paid(*args: Any, **kwargs: Any) -> Any:
        value, *rest = args[takes_context:] or (None,)
        current().made(value)
        check_call(name, value, rest, kwargs)
        return _paid(run(*args, **kwargs))

    return paid


def _written(value: Any) -> Any:
    """What an expression writes out, paid for."""
    return current().made(value)


def _raise(message: Any) -> None:
    raise TemplateError(str(message))


def _tojson(
    value: Any, ensure_ascii: Any = False, indent: Any = None, separators: Any = None, sort_keys: Any = False
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
