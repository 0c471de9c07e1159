"""Sizes and guards that stand as text in a `.pt2` file are bounded before torch computes with them."""

import json
import time
import zipfile

import pytest

from converters import ConversionError
from converters.reading.pytorch.exported_program import check_exported_program

# As torch writes them, in both of its notations.
_USUAL = [
    "s0",
    "Symbol('s77', positive=True, integer=True)",
    "Add(Mul(Integer(2), Symbol('s0', integer=True)), Integer(-1))",
    "Pow(Symbol('s0', integer=True), Rational(1, 2))",
    "FloatPow(ToFloat(Symbol('s0', integer=True)), Float('0.5', precision=53))",
    "FloorDiv(s0 - 1, 32)*FloorDiv(s1 - 1, 32) + 1",
    "128*s0*s1*((s0 - 1)//8 + 1)**2",
    "L['x'].size()[0] == 2*L['x'].size()[1] and L['x'].size()[2]**2 <= 9",
    "Ne(s0, 1) | Eq(Mod(s0*s1, 8), 0)",
]
_ENDLESS = [
    pytest.param("2**2**2**2**2**2", id="a tower of powers"),
    pytest.param("((((2**64)**64)**64)**64)**64", id="powers of powers"),
    pytest.param("Pow(Pow(Pow(Pow(Integer(2), Integer(64)), 64), 64), 64)", id="the same as functions"),
    pytest.param("Max(s0, 9**60)**60*Max(s0, 9**60)**60", id="powers of a maximum"),
    pytest.param("PowByNatural(s0, 999999999)", id="a huge power"),
    pytest.param("Pow('2', '99999999999')", id="a huge power as text"),
    pytest.param("2**s0", id="a power that a size says"),
    pytest.param("1 << 10**9", id="a shift"),
    pytest.param("(1,)*10**9", id="a repeated tuple"),
    pytest.param("'a'*10**9", id="a repeated text"),
    pytest.param("(s0 + s1 + s2 + s3)**60", id="a power with many terms"),
    pytest.param("*".join(f"(a{n} + b{n})" for n in range(12)), id="a product with many terms"),
    pytest.param("Float('1.5', 1000000000)", id="a number of many digits"),
    pytest.param("Float('0.5', precision=1000000000)", id="the same by name"),
    pytest.param("RoundDecimal(15, -1000000000)", id="rounded to many digits"),
    pytest.param("Mod(" * 70 + "s0" + ", 7)" * 70, id="deep"),
    pytest.param(f"Max({', '.join(f's{n}*{n}' for n in range(99))})", id="a maximum of many"),
    pytest.param("Min(" * 30 + "s0" + ", Max(s1, s2))" * 30, id="many maxima"),
    pytest.param("-" * 1500 + "s0", id="very deep"),
]


def _file(path, expressions, target="torch.ops.aten.relu.default"):
    program = {"sizes": [{"expr_str": text} for text in expressions], "guards_code": expressions, "target": target}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/archive_format", "pt2")
        archive.writestr("net/models/model.json", json.dumps(program))
    return path


def test_what_torch_writes_passes(tmp_path):
    assert list(check_exported_program(_file(tmp_path / "net.pt2", _USUAL))) == []


@pytest.mark.parametrize("text", _ENDLESS)
def test_an_expression_of_endless_work_is_refused_at_once(tmp_path, text):
    path = _file(tmp_path / "net.pt2", [text])
    begin = time.perf_counter()
    with pytest.raises(ConversionError, match=r"net.pt2: has a size or a guard that is more than arithmetic"):
        list(check_exported_program(path))
    assert time.perf_counter() - begin < 1


def test_many_large_expressions_are_refused_together(tmp_path):
    text = "*".join(f"(a{n} + b{n})" for n in range(9))
    assert list(check_exported_program(_file(tmp_path / "net.pt2", [text]))) == []
    with pytest.raises(ConversionError, match="more than arithmetic"):
        list(check_exported_program(_file(tmp_path / "many.pt2", [text] * 300)))


@pytest.mark.parametrize("target", ["math.factorial", "math.comb", "math.perm", "_operator.lshift"])
def test_functions_that_may_run_for_ever_are_refused(tmp_path, target):
    with pytest.raises(ConversionError, match=f"calls '{target}'"):
        list(check_exported_program(_file(tmp_path / "net.pt2", [], target)))
