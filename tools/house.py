"""The house rules that no ready-made tool knows: sizes, names, what the domain may import, what must not stand in the source.

Run it alone (`python tools/house.py`) for one line a breach; it exits 1 if there is any.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
VAGUE_NAME = re.compile(r"(^|_)(utils?|helpers?|common|managers?|base|misc)$")
GENERATED = ("clients/synapsenet_api/", "requirements.lock")

# Beside the standard library; an area may add one library made for its purpose.
DOMAIN_LIBRARIES = {"numpy", "scipy"}
PURPOSE_MADE = {"synapsenet/platform/records.py": "msgspec", "synapsenet/experiments/": "lark"}
NOT_DOMAIN = ("synapsenet/adapters/", "synapsenet/testing/")

# Written so that no pattern matches itself.
FORBIDDEN_TEXT = {
    "a path of one machine": re.compile(r"(?<![\w./~-])/(?:work|root|home|Users)/\w"),
    "the host of a package registry": re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian"),
    "a note to oneself (do it, or say it in an issue)": re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X)\b"),
}


@dataclass(frozen=True, slots=True)
class Breach:
    """One place where the house is not kept."""

    path: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Source:
    """One text file of the project, by its path from the root."""

    path: str
    text: str

    @property
    def is_python(self) -> bool:
        return self.path.endswith(".py")


def main() -> int:
    breaches = [breach for source in sources(ROOT) for rule in RULES for breach in rule(source)]
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


def sources(root: Path) -> Iterator[Source]:
    """The text files that are, or would be, committed; what is generated is left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for name in sorted(filter(None, listed.stdout.split("\0"))):
        path = root / name
        if name.startswith(GENERATED) or not path.is_file():
            continue
        data = path.read_bytes()
        if b"\0" not in data:
            yield Source(name, data.decode("utf-8", "replace"))


def long_files(source: Source) -> Iterator[Breach]:
    lines = len(source.text.splitlines())
    if source.is_python and lines > LONGEST_FILE:
        yield Breach(source.path, LONGEST_FILE, f"{lines} lines, {LONGEST_FILE} at most: give a concept a file of its own")


def long_functions(source: Source) -> Iterator[Breach]:
    for node in nodes(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                sentence = f"{node.name} has {lines} lines, {LONGEST_FUNCTION} at most: name its steps"
                yield Breach(source.path, node.lineno, sentence)


def vague_names(source: Source) -> Iterator[Breach]:
    path = PurePosixPath(source.path)
    for name in (*path.parent.parts, path.stem) if source.is_python else ():
        if VAGUE_NAME.search(name):
            yield Breach(source.path, 1, f"a module called {name} owns nothing: name it after what it owns")


def missing_words(source: Source) -> Iterator[Breach]:
    """A module says what it owns."""
    if source.is_python and source.text.strip() and ast.get_docstring(parsed(source)) is None:
        yield Breach(source.path, 1, "no module docstring: say what the module owns")


def forbidden_text(source: Source) -> Iterator[Breach]:
    for number, line in enumerate(source.text.splitlines(), 1):
        for what, pattern in FORBIDDEN_TEXT.items():
            if found := pattern.search(line):
                yield Breach(source.path, number, f"{found.group()}: {what}")


def foreign_imports(source: Source) -> Iterator[Breach]:
    """The domain stands on the standard library, numpy and scipy."""
    if not source.is_python or not source.path.startswith("synapsenet/") or source.path.startswith(NOT_DOMAIN):
        return
    allowed = {library for place, library in PURPOSE_MADE.items() if source.path.startswith(place)}
    allowed |= DOMAIN_LIBRARIES | sys.stdlib_module_names | {"synapsenet"}
    for node in nodes(source):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "synapsenet"]
        else:
            continue
        for name in names:
            if name.partition(".")[0] not in allowed:
                yield Breach(source.path, node.lineno, f"the domain imports {name}: put it behind a port, into an adapter")


@lru_cache(maxsize=1)  # rules take turns at one source
def parsed(source: Source) -> ast.Module:
    return ast.parse(source.text, filename=source.path)


def nodes(source: Source) -> Iterator[ast.AST]:
    """Every node of a Python file, none of any other file."""
    if source.is_python:
        yield from ast.walk(parsed(source))


RULES: tuple[Callable[[Source], Iterator[Breach]], ...] = (
    long_files,
    long_functions,
    vague_names,
    missing_words,
    forbidden_text,
    foreign_imports,
)

if __name__ == "__main__":
    sys.exit(main())
