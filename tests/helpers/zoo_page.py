"""Writes the page of published files with their scores, from `helpers.zoo_facts` and the families' records.

PYTHONPATH=tests python -m helpers.zoo_page docs/zoo.md
"""

import functools
import pathlib
import re
import sys
from collections.abc import Mapping

import keras
from helpers.zoo_facts import FILES, ZooFile

import tfseg
from converters.families import FAMILIES
from converters.memory import lazy_zeros
from tfseg.nets import blocks

_HEAD = """# Published files and their scores

Files that their publishers offer, and what they say of them. Score and data set are from the page that the score
links to: nothing here was measured again. The license is that of the publisher's code; files may add terms. Parameters are
counted in the network that `tfseg convert` builds, moving averages included; without the head where the page does not
say the number of classes. This page is generated:
`PYTHONPATH=tests python -m helpers.zoo_page docs/zoo.md`.

"""
_WRITTEN = re.compile(r"\| `(.+?)` \| `(.+?)` \| .+? \| .+? \| (.+?) \|")
_COLUMNS = (
    "| file | family | network | data set, classes | parameters | score | license |\n|---|---|---|---|---|---|---|\n"
)


def page(known: Mapping[tuple[str, str], str] | None = None) -> str:
    """The page.

    known: (family, file) -> parameters that were counted before, as the page has them.
    """
    counted = known or {}
    families = len({file.family for file in FILES})
    rows = (_row(file, counted.get((file.family, file.name)) or _counted(file)) for file in FILES)
    return f"{_HEAD}{len(FILES)} files of {families} families.\n\n{_COLUMNS}{''.join(rows)}"


def read_page(path: pathlib.Path) -> dict[tuple[str, str], str]:
    """(family, file) -> parameters, of a page that was written before."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return {(family, file): parameters for file, family, parameters in _WRITTEN.findall(text)}


def _counted(file: ZooFile) -> str:
    return f"{parameters(file.family, file.network, file.num_classes, file.width) / 1e6:.1f} M"


def _row(file: ZooFile, counted: str) -> str:
    score = f"[{file.score or 'none stated'}]({file.source})"
    cells = (
        f"`{file.name}`",
        f"`{file.family}`",
        f"`{file.network}`" + (f", width {file.width:g}" if file.width != 1 else ""),
        file.data_set + (f", {file.num_classes}" if file.num_classes else ""),
        counted,
        score,
        FAMILIES[file.family].license,
    )
    return f"| {' | '.join(cells)} |\n"


@functools.cache
def parameters(family: str, network: str, num_classes: int | None, width: float) -> int:
    """How many numbers the network of a family has; without its head where no number of classes is known."""
    record = FAMILIES[family]
    options = {**record.options, **record.network(network).options, "width": width}
    options |= {} if num_classes is None else {"num_classes": num_classes}
    if record.features is None:
        options["include_top"] = num_classes is not None
    with blocks.blank_weights(lazy_zeros):
        model: keras.Model = tfseg.build(network, **options)
    return model.count_params()


def main(path: pathlib.Path) -> None:
    """Writes the page; parameters that it has are not counted again."""
    known = read_page(path)
    for index, file in enumerate(FILES):
        if (file.family, file.name) not in known:
            known[file.family, file.name] = _counted(file)
            print(f"{index + 1}/{len(FILES)} {file.name}: {known[file.family, file.name]}", flush=True)
            keras.backend.clear_session()
    path.write_text(page(known), encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
