"""Write docs/errors.md: every reason that the platform gives to its callers, read from where it is raised.

A reason is part of the contract: programs switch on it. So the page is made from the source and cannot miss one, and a reason
that two classes of error share is refused. `--check` writes nothing and exits 1 if the page is not what the source gives.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from synapsenet import errors
from synapsenet_servers.interceptors import catalogue
from tools.house import ROOT, Source, nodes, sources

PAGE = ROOT / "docs" / "errors.md"
AREAS = {folder.name for folder in (ROOT / "protos" / "synapsenet").iterdir()}
RAISING = ("synapsenet/", "servers/")
REASON = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")

KINDS: dict[str, type[errors.SynapseError]] = {
    name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.SynapseError)
}

HEADER = """\
# Errors

<!-- Written by tools/errors_page.py from the source; `make proto` writes it anew. -->

Every error carries a `google.rpc.ErrorInfo` with domain `synapsenet` and one of these reasons; programs switch on the reason,
people read the message. A request field at fault is named in `BadRequest`, an unmet condition in `PreconditionFailure`, and
`RetryInfo` says when to come back. `…` stands for what is only known when it happens.

| reason | status | given by | field | remedy |
|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """One place in the source that makes an error.

    Attributes:
        kind: the error's class, a name in synapsenet.errors.
        owner: the area that gives it, or `platform`.
        field: the request field it names, if that is written there.
        remedy: likewise.
    """

    reason: str
    kind: str
    owner: str
    field: str
    remedy: str


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="compare only; exit 1 if the page is stale")
    check = arguments.parse_args().check
    found = [raised for source in sources(ROOT) for raised in raisings(source)]
    for sentence in (ambiguous := ambiguities(found)):
        print(sentence, file=sys.stderr)
    page = render(found)
    if not check:
        PAGE.write_text(page, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        print("docs/errors.md is stale: run `make proto` and commit", file=sys.stderr)
        return 1
    return 1 if ambiguous else 0


def raisings(source: Source) -> Iterator[Raised]:
    """The errors that `source` makes under a reason written out in place."""
    if not source.path.startswith(RAISING) or source.path.startswith("synapsenet/testing/"):
        return
    for node in nodes(source):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        kind, reason = called(node.func), node.args[0].value
        if kind in KINDS and isinstance(reason, str) and REASON.fullmatch(reason):
            named = {keyword.arg: shown(keyword.value) for keyword in node.keywords}
            yield Raised(
                reason=reason,
                kind=kind,
                owner=owner(source.path),
                field=named.get("field", ""),
                remedy=named.get("remedy", ""),
            )


def called(function: ast.expr) -> str:
    """The bare name of what is called: `NotFound` of both `NotFound(…)` and `errors.NotFound(…)`."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def shown(value: ast.expr) -> str:
    """The text of a string expression, with `…` for what is only known when it runs."""
    if isinstance(value, ast.Constant):
        return str(value.value)
    if isinstance(value, ast.JoinedStr):
        return "".join(shown(part) for part in value.values)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        return shown(value.left) + shown(value.right)
    return "…"


def owner(path: str) -> str:
    """The area that the file belongs to by a folder or by its own name; `platform` where it belongs to none."""
    return next((part for part in path.removesuffix(".py").split("/") if part in AREAS), "platform")


def ambiguities(found: Sequence[Raised]) -> list[str]:
    """One sentence for each reason that has more than one status."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for raised in found:
        kinds[raised.reason].add(raised.kind)
    return [
        f"{reason} is given as {' and '.join(sorted(names))}: a reason has one class"
        for reason, names in sorted(kinds.items())
        if len(names) > 1
    ]


def render(found: Sequence[Raised]) -> str:
    """The page, one row a reason, in the order of the alphabet."""
    rows: dict[str, list[Raised]] = defaultdict(list)
    for raised in found:
        rows[raised.reason].append(raised)
    return HEADER + "".join(row(reason, rows[reason]) for reason in sorted(rows))


def row(reason: str, places: Sequence[Raised]) -> str:
    error = KINDS[places[0].kind](reason)
    cells = (
        f"`{reason}`",
        catalogue.code(error).name,
        distinct(place.owner for place in places),
        distinct(f"`{place.field}`" for place in places if place.field not in {"", "…"}),
        distinct((place.remedy for place in places if place.remedy != "…"), separator="; or "),
    )
    return f"| {' | '.join(cells)} |\n"


def distinct(texts: Iterator[str], separator: str = ", ") -> str:
    return separator.join(sorted({text.replace("|", "\\|") for text in texts} - {""}))


if __name__ == "__main__":
    sys.exit(main())
