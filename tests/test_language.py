"""Words and sentences: what `python tests/helpers/language.py` finds is mended, not collected."""

import ast
import textwrap

import pytest
from helpers import language
from helpers.paths import ROOT

FILES = {str(path.relative_to(ROOT)): path for path in language.files()}


@pytest.mark.parametrize("name", FILES)
def test_plain_english(name):
    assert [f"{name}:{line}: {complaint}" for line, complaint in language.findings(FILES[name])] == []


WRONG = {
    "fragment": ('"""Of a picture the upper 8 bits count."""', "a docstring begins with 'Of a picture'"),
    "no noun": (
        'def f(epsilon):\n    """The sum.\n\n    Args:\n        epsilon: of that.\n    """',
        "epsilon: 'of that.': begin with a noun",
    ),
    "no entry": (
        'def f(x, axis):\n    """The sum.\n\n    Args:\n        x: an array.\n    """',
        "Args: no entry for 'axis'",
    ),
    "spelling": ("# the colour of a class", "'colour': American spelling"),
    "a name": ("found = 1", "a variable called 'found': say what it holds"),
    "an error": ('raise ValueError("a scale that is none")', "'that is none': invalid"),
    "a long sentence": (f"# {'word ' * 26}", "26 words in one sentence"),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_checker_finds(what, tmp_path, monkeypatch):
    source, complaint = WRONG[what]
    monkeypatch.setattr(language, "ROOT", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(textwrap.dedent(source))
    assert any(text.startswith(complaint) for _, text in language.findings(path)), list(language.findings(path))


def test_public_functions_are_typed():
    """Every function and method whose name has no underscore says what it takes and what it gives."""
    untyped = []
    for name, path in FILES.items():
        if name.partition("/")[0] in ("tfseg", "converters", "tfseg_cli"):
            untyped += [
                f"{name}:{function.lineno} {function.name}" for function in _untyped(ast.parse(path.read_text()))
            ]
    assert untyped == []


def _untyped(tree):
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _untyped(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            arguments += [extra for extra in (node.args.vararg, node.args.kwarg) if extra]
            missing = [each for each in arguments if each.annotation is None and each.arg not in ("self", "cls")]
            if missing or node.returns is None:
                yield node
