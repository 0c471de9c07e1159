"""Finds words and sentences that a reader in a hurry stumbles over: `python tests/helpers/language.py [PATH ...]`."""

import ast
import io
import pathlib
import re
import sys
import tokenize
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
MOST_WORDS = 25  # of one sentence
CODE = ("tfseg", "converters", "tfseg_cli", "benchmarks", "docs", "examples", "tests", "setup.py")
PROSE = (
    *("README.md", "CONTRIBUTING.md", "BUILD_NOTES.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "RELEASING.md"),
    *("examples/README.md", "docs"),
)

# What a text or an entry of `Args:` must not begin with: it has no noun of its own.
FRAGMENT = re.compile(r"(of|as of|as in|that of|those of|the same of|the same as|as) ", re.IGNORECASE)

# What is wrong -> what to write instead.
PHRASES = {
    r"\bcannot be had\b|\bto be had\b|\bcan be had\b": "is not available, is available",
    r"\bcome apart\b|\bcomes apart\b": "diverged",
    r"\bgoes? on\b|\bgoing on\b|\bwent on\b": "continues",
    r"\banew\b": "again",
    r"\balike\b": "equally, in the same way",
    r"\bthat is none\b|\bthat are none\b|\bis none of\b": "invalid",
    r"\bbehind (a|an|the|it|that|each|every|which|its)\b": "after",
    r"\babout the (map|image|pooling|border|first|maps)\b": "around",
    r"\bof late\b|\bthereof\b|\bwhereof\b|\bwherein\b|\btherein\b|\bhitherto\b": "plain words",
    r"\bbears? the\b|\bbearing the\b|\bbears? (a|one|names?)\b": "has",
    r"\bnought\b|\baught\b|\bere\b|\blest\b": "plain words",
    r"\bOut of the door\b|\bA million photographs\b": "Export, Batch prediction",
    r"\bany(thing)? but\b": "say what it is",
    r"\btelephones?\b": "phones",
    r"\bnobody\b": "no one, nothing",
    r"\bfor want of\b": "because there is no",
    r"\ball the same\b": "anyway",
    r"\bso far as\b|\bas far as\b": "where",
    r"\bnormalised\b|\bnormalisation\b|\brecognis|\binitialis|\boptimis|\bserialis|\bsynchronis|\bcolour|\bgrey\b"
    r"|\blicence\b|\bcentred\b|\bneighbour|\bunnormalised\b|\bparametris|\bvisualis|\bsummaris|\borganis|\bbehaviour"
    r"|\bquantis|\bgeneralis|\bcategoris|\bminimis|\bmaximis|\bfavour\b": "American spelling",
}
PHRASES = {re.compile(wrong, re.IGNORECASE): right for wrong, right in PHRASES.items()}

# Variables and parameters whose names say nothing.
NAMES = {"one", "found", "told", "own", "theirs"}

# Texts of others that are quoted as they are.
QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|https?://\S+|\([^()]*://[^()]*\)")


def findings(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    """`(line, complaint)` of a Python or Markdown file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from _markdown(text)
        return
    nodes = list(ast.walk(ast.parse(text)))  # once, because it takes most of the time
    yield from _docstrings(nodes, tests="tests" in path.relative_to(ROOT).parts)
    yield from _texts(nodes)
    yield from _comments(text)
    yield from _names(nodes)


def complaints(text: str, *, length: bool = True) -> Iterator[str]:
    """What is wrong with a text of one or more sentences."""
    plain = QUOTED.sub("x", text)
    for wrong, right in PHRASES.items():
        if match := wrong.search(plain):
            yield f"{match[0]!r}: {right}"
    for sentence in re.split(r"(?<=[.!?:;])\s+|\n\s*\n|\n\s*[-*] ", plain) if length else ():
        words = re.findall(r"[^\s]*\w[^\s]*", sentence)
        if len(words) > MOST_WORDS:
            yield f"{len(words)} words in one sentence: {' '.join(words[:8])} ..."


def _docstrings(nodes: list[ast.AST], tests: bool) -> Iterator[tuple[int, str]]:
    for node in nodes:
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node)
        if text is None:
            continue
        line = node.body[0].lineno
        if FRAGMENT.match(text):
            yield line, f"a docstring begins with {' '.join(text.split()[:3])!r}: begin with a noun or a verb"
        for entry, what in _entries(text):
            if FRAGMENT.match(what) or re.fullmatch(r"of [^.]*\.?", what):
                yield line, f"{entry}: {' '.join(what.split()[:4])!r}: begin with a noun"
        body = re.sub(r"(?m)^(\s*>>> .*|\s*\.\.\. .*|    [^\n:]+\(.*\).*)$", "", text)
        body = re.sub(r"(?m)^(Args|Returns|Raises|Attributes|Yields|Reference|Example|Examples|Source):", "", body)
        for complaint in complaints("\n\n".join(_paragraphs(body))):
            yield line, complaint
        if isinstance(node, ast.FunctionDef) and "\nArgs:" in text and not tests:
            yield from ((line, f"Args: no entry for {name!r}") for name in _undocumented(node, text))


def _paragraphs(text: str) -> Iterator[str]:
    """Entries of lists apart, so that each is a sentence of its own."""
    for block in re.split(r"\n\s*\n", text):
        yield re.sub(r"\n\s*(?=[\w`*, ]+: )", "\n\n", block)


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """`(names, words)` of the entries of Args and Attributes."""
    for section in re.findall(r"(?ms)^(?:Args|Attributes):\n(.*?)(?=^\S|\Z)", text):
        for match in re.finditer(r"(?m)^    ([\w*, ]+): (.*)$", section):
            yield match[1], match[2]


def _undocumented(node: ast.FunctionDef, text: str) -> list[str]:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    names = {name for entry, _ in _entries(text) for name in re.split(r"[,\s*]+", entry)}
    return [
        argument.arg
        for argument in arguments
        if argument.arg not in names | {"self", "cls"} and not argument.arg.startswith("_")
    ]


def _texts(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """Texts that a user sees: those of exceptions and of flags."""
    for node in nodes:
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            calls = [node.exc]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("flags.DEFINE"):
            calls = [node]
        else:
            continue
        for call in calls:
            for part in call.args:
                text = _joined(part)
                for complaint in complaints(text) if text else ():
                    yield part.lineno, complaint


def _joined(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_joined(value) if isinstance(value, ast.Constant) else "x" for value in node.values)
    return ""


def _comments(text: str) -> Iterator[tuple[int, str]]:
    block: list[str] = []
    start = last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT or token.string.startswith(("# noqa", "# type:", "#!")):
            continue
        line, words = token.start[0], token.string.lstrip("# ").split("# noqa")[0].strip("- ")
        if line != last + 1:
            yield from ((start, complaint) for complaint in complaints(" ".join(block)))
            block, start = [], line
        block.append(words)
        last = line
    yield from ((start, complaint) for complaint in complaints(" ".join(block)))


def _names(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    for node in nodes:
        name = None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        if name in NAMES:
            yield node.lineno, f"a variable called {name!r}: say what it holds"


def _markdown(text: str) -> Iterator[tuple[int, str]]:
    fenced, paragraph, start = False, [], 1
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        if fenced or line.startswith("|") or line.startswith("    "):
            continue
        if not line.strip() or re.match(r"\s*([-*#]|\d+\.) ", line):
            plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(paragraph))
            if FRAGMENT.match(re.sub(r"^([-*#]+|\d+\.) ", "", plain.strip())):
                yield start, f"begins with {' '.join(plain.split()[:3])!r}"
            yield from ((start, complaint) for complaint in complaints(plain))
            paragraph, start = [], number
        paragraph.append(line.strip())


def files() -> list[pathlib.Path]:
    """Every file of the project that is read."""
    code = [path for name in CODE for path in ([ROOT / name] if name.endswith(".py") else (ROOT / name).rglob("*.py"))]
    prose = [
        path for name in PROSE for path in ([ROOT / name] if name.endswith(".md") else (ROOT / name).rglob("*.md"))
    ]
    return sorted(code) + sorted(prose)


if __name__ == "__main__":
    chosen = [pathlib.Path(name).resolve() for name in sys.argv[1:]]
    chosen = [
        file
        for path in chosen
        for file in (sorted([*path.rglob("*.py"), *path.rglob("*.md")]) if path.is_dir() else [path])
    ] or files()
    total = 0
    for file in chosen:
        for line, complaint in findings(file):
            total += 1
            print(f"{file.relative_to(ROOT)}:{line}: {complaint}")
    print(f"{total} findings")
    sys.exit(total > 0)
