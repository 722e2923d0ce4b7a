"""The filter language: a subset of AIP-160, parsed into the typed form of `filtering`.

AIP-160 binds OR tighter than AND, most other languages the reverse; so a filter that mixes them must say which it means, by
parentheses. Every refusal names the position (1 for the first character) and what was expected there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from synapsenet.errors import InvalidArgument, NotYetAvailable
from synapsenet.experiments.filtering import (
    ATTRIBUTES,
    Aggregate,
    And,
    Comparator,
    Compare,
    Contains,
    Field,
    Filter,
    Kind,
    Not,
    Or,
    Ordering,
    Present,
    Subject,
    Value,
    as_time,
)
from synapsenet.experiments.model import LARGEST_INTEGER, RunState

LONGEST_FILTER = 10_240
MOST_COMPARISONS = 200
DEEPEST_NESTING = 50
MOST_ORDERINGS = 5

_GRAMMAR = r"""
filter: expression
?expression: operand | conjunction | disjunction
conjunction: operand ("AND" operand)+
disjunction: operand ("OR" operand)+
?operand: "NOT" operand -> negation
        | "(" expression ")"
        | field COMPARATOR value -> comparison
        | field ":" "*" -> presence
        | field ":" text -> containment
order: [criterion ("," criterion)*]
criterion: field [DIRECTION]
field: segment ("." _part)* -> path
     | NAME "(" segment ("." _part)* [AND_STEP INTEGER] ")" -> aggregate
_part: segment | INDEX
segment: NAME | QUOTED
value: NAME | QUOTED | NUMBER
text: NAME | QUOTED
COMPARATOR: "!=" | "<=" | ">=" | "=" | "<" | ">"
DIRECTION.2: "asc" | "desc"
AND_STEP: ","
NAME: /[^\W\d][\w\/@-]*/
INDEX: /\d+/
INTEGER: /\d+/
NUMBER: /[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?/
QUOTED: /"(\\.|[^"\\])*"/s
%ignore /\s+/
"""

_WORDS = {
    "NAME": "a name",
    "QUOTED": "a quoted text",
    "NUMBER": "a number",
    "INDEX": "a name",
    "INTEGER": "a step",
    "COMPARATOR": "one of = != < <= > >=",
    "DIRECTION": "asc or desc",
    "AND": "AND",
    "OR": "OR",
    "NOT": "NOT",
    "LPAR": "'('",
    "RPAR": "')'",
    "COLON": "':'",
    "STAR": "'*'",
    "DOT": "'.'",
    "COMMA": "','",
    "AND_STEP": "','",
    "$END": "the end",
}


def parse_filter(text: str) -> Filter | None:
    """The filter that `text` spells; None for a blank one, which every run passes.

    Raises:
        InvalidArgument: FILTER_INVALID, with metadata `position` and `expected`.
        NotYetAvailable: NOT_YET_AVAILABLE, it uses `at(metric, step)`.
    """
    if not text.strip():
        return None
    parsed: Filter = _parsed(_FILTERS, "filter", text)
    _check_size(parsed)
    return parsed


def parse_order(text: str) -> tuple[Ordering, ...]:
    """The order that `text` spells, e.g. `metrics.accuracy desc, learning_rate`.

    Raises:
        InvalidArgument: FILTER_INVALID, as for filters, with `order_by` as the field.
        NotYetAvailable: NOT_YET_AVAILABLE, it uses `at(metric, step)`.
    """
    parsed: tuple[Ordering, ...] = _parsed(_ORDERS, "order_by", text)
    if len(parsed) > MOST_ORDERINGS:
        raise _refusal("order_by", 1, f"at most {MOST_ORDERINGS} criteria", f"there are {len(parsed)}")
    return parsed


def _parsed(parser: Lark, path: str, text: str) -> Any:
    if len(text) > LONGEST_FILTER:
        raise _refusal(path, LONGEST_FILTER + 1, f"the end: at most {LONGEST_FILTER} characters", f"it goes on to {len(text)}")
    if "\0" in text:
        raise _refusal(path, text.index("\0") + 1, "a printable character", "found a null character")
    try:
        return parser.parse(text)
    except UnexpectedInput as error:
        raise _unexpected(path, text, error) from None


def _unexpected(path: str, text: str, error: UnexpectedInput) -> InvalidArgument:
    expected: set[str] = set()
    found = "the end"
    position = len(text.rstrip()) + 1
    if isinstance(error, UnexpectedCharacters):
        at: int = error.pos_in_stream  # type: ignore[assignment]  # lark declares it None, and always sets it
        expected, position, found = set(error.allowed or ()), at + 1, repr(text[at])
    elif isinstance(error, UnexpectedToken):
        expected = set(error.accepts or error.expected)
        if error.token.type != "$END":
            position, found = (error.token.start_pos or 0) + 1, repr(str(error.token)[:40])
            if error.token.type in ("AND", "OR") and {"AND", "OR"} & expected:
                return _refusal(path, position, "parentheses where AND and OR mix", f"found {found}")
    words = sorted({_WORDS.get(name, name) for name in expected})
    return _refusal(path, position, " or ".join(words), f"found {found}")


def _refusal(path: str, position: int, expected: str, found: str) -> InvalidArgument:
    return InvalidArgument(
        "FILTER_INVALID",
        f"{path}: at position {position} {found}, expected {expected}",
        field=path,
        remedy='write it like `learning_rate >= 0.001 AND (optimizer = "adam" OR metrics.accuracy > 0.9)`'
        if path == "filter"
        else "write it like `metrics.accuracy desc, learning_rate`",
        metadata={"position": str(position), "expected": expected},
    )


class _Typed(Transformer[Token, Any]):
    """From the parser's tree to the typed form, checking that names exist and values suit them."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def filter(self, children: list[Filter]) -> Filter:
        return children[0]

    def conjunction(self, children: list[Filter]) -> Filter:
        return And(tuple(children))

    def disjunction(self, children: list[Filter]) -> Filter:
        return Or(tuple(children))

    def negation(self, children: list[Filter]) -> Filter:
        return Not(children[0])

    def comparison(self, children: list[Any]) -> Filter:
        (field, _), comparator_token, value_token = children
        comparator = Comparator(str(comparator_token))
        value = self._value(field, value_token)
        if comparator.orders and (isinstance(value, bool) or field.kind is Kind.STATE):
            raise self._refuse(comparator_token, "= or !=")
        return Compare(field, comparator, value)

    def presence(self, children: list[Any]) -> Filter:
        return Present(children[0][0])

    def containment(self, children: list[Any]) -> Filter:
        (field, _), token = children
        if field.kind not in (Kind.ANY, Kind.TEXT):
            raise self._refuse(token, f"'*', since {field.subject.value}.{field.name} is no text")
        return Contains(field, _unquoted(token))

    def order(self, children: list[Ordering | None]) -> tuple[Ordering, ...]:
        return tuple(child for child in children if child is not None)

    def criterion(self, children: list[Any]) -> Ordering:
        (field, _), direction = children
        return Ordering(field, descending=direction == "desc")

    def segment(self, children: list[Token]) -> Token:
        return children[0]

    def value(self, children: list[Token]) -> Token:
        return children[0]

    def text(self, children: list[Token]) -> Token:
        return children[0]

    def path(self, segments: list[Token]) -> tuple[Field, Token]:
        head = segments[0]
        subject = _SUBJECTS.get(str(head)) if head.type == "NAME" and len(segments) > 1 else None
        if subject is None:
            return Field(Subject.PARAM, _joined(segments)), head
        name = _joined(segments[1:])
        if subject in ATTRIBUTES and name not in ATTRIBUTES[subject]:
            raise self._refuse(segments[1], "one of " + " ".join(ATTRIBUTES[subject]))
        return Field(subject, name), head

    def aggregate(self, children: list[Any]) -> tuple[Field, Token]:
        function, *segments, _, step = children
        if str(function) == "at" and step is not None:
            raise NotYetAvailable(
                "NOT_YET_AVAILABLE", field=self._path, remedy="compare with last(), min() or max() of the metric"
            )
        if str(function) not in _AGGREGATES or step is not None:
            raise self._refuse(function, "last(metric), min(metric) or max(metric)")
        if str(segments[0]) == Subject.METRIC.value and segments[0].type == "NAME" and len(segments) > 1:
            segments = segments[1:]
        return Field(Subject.METRIC, _joined(segments), _AGGREGATES[str(function)]), function

    def _value(self, field: Field, token: Token) -> Value:
        match field.kind:
            case Kind.ANY:
                return self._number(token) if token.type == "NUMBER" else _word(token)
            case Kind.NUMBER if token.type == "NUMBER":
                return self._number(token)
            case Kind.TEXT if token.type != "NUMBER":
                return _unquoted(token)
            case Kind.STATE if _unquoted(token).lower() in _STATES:
                return _unquoted(token).lower()
            case Kind.TIME if (instant := as_time(_unquoted(token))) is not None:
                return instant
        raise self._refuse(token, field.kind.value)

    def _number(self, token: Token) -> int | float:
        number = float(token)
        whole = not set(token) & set(".eE")
        if math.isinf(number) or (whole and abs(number) > LARGEST_INTEGER):
            raise self._refuse(token, "a number within 64 bits")
        return int(token) if whole else number

    def _refuse(self, token: Token, expected: str) -> InvalidArgument:
        return _refusal(self._path, (token.start_pos or 0) + 1, expected, f"found {str(token)[:40]!r}")


_SUBJECTS = {subject.value: subject for subject in Subject}
_AGGREGATES = {aggregate.value: aggregate for aggregate in Aggregate}
_STATES = {state.value for state in RunState}


def _word(token: Token) -> str | bool:
    """An unquoted true or false is a truth value, everything else a text."""
    return {"true": True, "false": False}.get(str(token), _unquoted(token))


def _unquoted(token: Token) -> str:
    if token.type != "QUOTED":
        return str(token)
    pieces = iter(str(token)[1:-1])
    return "".join(next(pieces) if piece == "\\" else piece for piece in pieces)


def _joined(segments: Sequence[Token]) -> str:
    return ".".join(_unquoted(segment) for segment in segments)


def _check_size(parsed: Filter) -> None:
    """Refuse what a store could choke on; without recursion, since that is what it guards."""
    comparisons, pending = 0, [(parsed, 1)]
    while pending:
        part, depth = pending.pop()
        if depth > DEEPEST_NESTING:
            raise _refusal("filter", 1, f"at most {DEEPEST_NESTING} levels", "it is nested too deeply")
        match part:
            case And(operands) | Or(operands):
                pending.extend((operand, depth + 1) for operand in operands)
            case Not(operand):
                pending.append((operand, depth + 1))
            case _:
                comparisons += 1
    if comparisons > MOST_COMPARISONS:
        raise _refusal("filter", 1, f"at most {MOST_COMPARISONS} comparisons", f"it has {comparisons}")


# The typed form is built while the parser reduces: a walk over its tree afterwards would recurse as deep as the text nests.
_FILTERS = Lark(_GRAMMAR, parser="lalr", start="filter", transformer=_Typed("filter"))
_ORDERS = Lark(_GRAMMAR, parser="lalr", start="order", transformer=_Typed("order_by"))
