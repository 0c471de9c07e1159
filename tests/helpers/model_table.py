"""Writes the page of the networks: parameters, multiplications, and the families that have weights of them.

    PYTHONPATH=tests python -m helpers.model_table docs/networks.md [PATTERN ...]

Without patterns all rows are counted again, which takes ten minutes. With patterns such as "unet.*", only those are, and
with "missing" only those that the page lacks. The other rows of the page stay, and so do the times, which
`benchmarks/networks.py` measures.
"""

import dataclasses
import gc
import pathlib
import re
import sys

import keras
import numpy as np
from helpers.multiplications import multiplications

import tfseg
from converters.families import FAMILIES
from tfseg import specs
from tfseg.nets import blocks

CLASSES, SIDE = 21, 512
DECODERS_ON = ("resnet34", "mobilenet_v2", "mit_b0", "drn_d_22")
MISSING = "-"
_HEAD = f"""# Networks of tfseg

`tfseg.build(name)` builds each of them. Decoders and heads read every backbone: `tfseg.build("unet", backbone="mit_b0")`.
Parameters are those of the network without a classifier's top, or with {CLASSES} classes, in millions. Multiplications are
those of the kernels and attentions for one image of {SIDE} x {SIDE} pixels, in billions. The families of a decoder have
files of it on some backbone; what no family has is converted by its program.
This page is generated: `PYTHONPATH=tests python -m helpers.model_table docs/networks.md`. The times come from
`python benchmarks/networks.py docs/networks.md`: milliseconds for such an image in float32 on two cores.

"""
_COLUMNS = "| network | parameters | multiplications | ms | families that have weights |\n|---|---|---|---|---|\n"
_ROW = re.compile(r"\| (\S+) \| (\S+) \| (\S+) \| (\S+) \| (.*?) \|")
_TIMED = re.compile(r"Times: (.*)")


@dataclasses.dataclass(frozen=True)
class ModelRow:
    """One network of the page.

    Attributes:
        parameters: number of trained and untrained weights, in millions.
        multiplications: products for one image, in billions.
        milliseconds: time of one image, or `MISSING`.
        families: names of the families of checkpoints.
    """

    parameters: str
    multiplications: str
    milliseconds: str
    families: str


def sections():
    """Title -> names of the networks in it."""
    return {
        "Decoders and heads": [
            f"{head}_{name}"
            for name in DECODERS_ON
            for head in tfseg.list_models("decoders")
            if f"{head}_{name}" in specs.SEGMENTERS
        ],
        "Backbones": tfseg.list_models("backbones"),
        "Whole networks": [*specs.FCNS, *specs.DEEPLAB_VGGS, *specs.UNETS, *specs.SEGNETS],
    }


def build(name):
    """The network without random numbers; backbones have no top."""
    with blocks.blank_weights(lambda shape, dtype=None: np.zeros(shape, dtype or "float32")):
        return tfseg.build(name, **({} if name in tfseg.list_models("backbones") else {"num_classes": CLASSES}))


def counted(name, before=None, milliseconds=None):
    """The row of a network.

    Args:
        name: name of the network.
        before: its row so far, whose time is kept.
        milliseconds: function of the model that measures it; None: the time stays.
    """
    model = build(name)
    time = f"{milliseconds(model):.0f}" if milliseconds else before.milliseconds if before else MISSING
    weights = sum(int(np.prod(variable.shape)) for variable in model.weights if "seed" not in variable.path)
    return ModelRow(f"{weights / 1e6:.2f}", f"{multiplications(model, SIDE, SIDE) / 1e9:.2f}", time, families(name))


def families(name):
    """The families with files of a network; of a decoder, those with files of it on any backbone."""
    heads = "|".join(tfseg.list_models("decoders"))
    match = re.fullmatch(f"({heads})_({'|'.join(DECODERS_ON)})", name)
    pattern = f"{match[1]}_.*" if match else re.escape(name)
    names = [
        family.name
        for family in FAMILIES.values()
        if any(re.fullmatch(pattern, network.name) for network in family.networks)
    ]
    return ", ".join(names) or MISSING


def read_page(path):
    """`({name: row}, what the times are from)` of a page that was written before."""
    if not path.exists():
        return {}, "not measured"
    text = path.read_text(encoding="utf-8")
    rows = {match[1]: ModelRow(*match.groups()[1:]) for match in _ROW.finditer(text) if match[1] != "network"}
    timed = _TIMED.search(text)
    return rows, timed[1] if timed else "not measured"


def write_page(path, rows, times):
    """Writes the page, in the order of `sections`; networks without a row are left out.

    Args:
        path: path of the page.
        rows: name -> row.
        times: what the times are from.
    """
    parts = [_HEAD, f"Times: {times}\n"]
    for title, names in sections().items():
        parts.append(f"\n## {title}\n\n{_COLUMNS}")
        for name in names:
            if row := rows.get(name):
                row = dataclasses.replace(row, families=families(name))  # of a family that came later, too
                parts.append(f"| {name} | {' | '.join(dataclasses.astuple(row))} |\n")
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(parts), encoding="utf-8")


def main(page, *patterns, milliseconds=None, times=None):
    """Counts the networks whose names match a pattern, or all, and writes the page after each.

    Args:
        page: path of the page.
        patterns: regular expressions of names; "missing": networks that the page lacks.
        milliseconds: function that measures a model; None: the times stay.
        times: what the times are from.
    """
    path = pathlib.Path(page)
    rows, known_times = read_page(path)
    for name in [name for names in sections().values() for name in names]:
        if patterns == ("missing",) and name in rows:
            continue
        if patterns not in ((), ("missing",)) and not any(re.fullmatch(pattern, name) for pattern in patterns):
            continue
        rows[name] = counted(name, rows.get(name), milliseconds)
        write_page(path, rows, times or known_times)
        print(name, *dataclasses.astuple(rows[name]), sep="  ", flush=True)
        keras.backend.clear_session()
        gc.collect()


if __name__ == "__main__":
    main(*sys.argv[1:])
