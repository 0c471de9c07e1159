"""Which mask belongs to which photograph: by their names."""

import pathlib
import re
from collections.abc import Mapping, Sequence

from tfseg.data.datasets import Pair
from tfseg.data.labels import first_few
from tfseg.data.listed_names import ListedNames
from tfseg.data.named_files import MASK_ENDINGS, MASK_SUFFIXES, NamedFiles

# What says that a name is a photograph's or a mask's: `img_0001.jpg` and `mask_0001.png`, `7_sat.jpg` and `7_mask.png`.
_KIND = r"images?|img|photos?|pic|sat|rgb|leftImg8bit|masks?|gt|gtFine_labelIds|labels?|labelIds|seg|annotation"
_KIND_OF_NAME = re.compile(rf"(?:^|(?<=/))(?:{_KIND})[_-]?(?=[^/]*\d[^/]*$)|[_-](?:{_KIND})$", re.IGNORECASE)
_MOST_LISTED = 3


def find_mask(
    name: str, masks: Mapping[str, pathlib.Path], endings: Sequence[str] = MASK_ENDINGS
) -> pathlib.Path | None:
    """The mask of a photograph: the one of equal name, else the one with an ending that names of masks have.

    Args:
        name: name of the photograph.
        masks: mask of each name.
        endings: the endings, the first one first.
    """
    return next((masks[name + ending] for ending in ("", *endings) if name + ending in masks), None)


def match(
    root: pathlib.Path,
    files: NamedFiles,
    lines: Sequence[str] | None = None,
    *,
    mask_pattern: str | None = None,
    endings: Sequence[str] = MASK_ENDINGS,
) -> tuple[Pair, ...]:
    """Pairs of photographs and masks.

    Args:
        root: directory of the data set, for messages and for paths in lines.
        files: its photographs and masks.
        lines: lines of a list, each a name or path of a photograph, and maybe one of its mask; None: all photographs.
        mask_pattern: name of a photograph's mask, such as "{name}_mask"; None: what people use.
        endings: endings that the names of masks may have.
    Raises:
        ValueError: a line without a photograph, a photograph without a mask, no photograph, or a pattern without
            "{name}".
    """
    finder = ListedNames(root, files)
    wanted: list[tuple[str, pathlib.Path | None]] = []
    strange: dict[str, str] = {}
    for line in sorted(files.images) if lines is None else lines:
        entry = (line, None) if lines is None else finder.line(line)
        if entry is None:
            strange[line] = finder.why_not(line)
        else:
            wanted.append(entry)
    mask_of = _masks_of([name for name, mask in wanted if mask is None], files, mask_pattern, endings)
    without = [name for name, mask in wanted if mask is None and name not in mask_of]
    if strange or without or not wanted:
        raise ValueError(_refusal(root, files, strange, without, mask_pattern))
    return tuple(Pair(files.images[name], mask or mask_of[name]) for name, mask in wanted)


def _masks_of(
    names: Sequence[str], files: NamedFiles, pattern: str | None, endings: Sequence[str]
) -> dict[str, pathlib.Path]:
    """The mask of each photograph that has one."""
    if pattern is not None:
        if "{name}" not in pattern:
            raise ValueError(f'mask_pattern has "{{name}}" for the name of the photograph. Received: {pattern!r}')
        stems = {name: _filled(pattern, name) for name in names}
        return {name: files.masks[stem] for name, stem in stems.items() if stem in files.masks}
    masks = {name: mask for name in names if (mask := find_mask(name, files.masks, endings))}
    if names and not masks:  # none is as people usually name them: one rule for all, or none
        return _by_common_ending(names, files.masks) or _by_core(names, files)
    return masks


def _filled(pattern: str, name: str) -> str:
    folder, _, stem = name.rpartition("/")
    filled = pattern.replace("{name}", stem)
    for suffix in MASK_SUFFIXES:
        filled = filled.removesuffix(suffix)
    return f"{folder}/{filled}" if folder else filled


def _by_common_ending(names: Sequence[str], masks: Mapping[str, pathlib.Path]) -> dict[str, pathlib.Path]:
    """Masks that all have the same ending after the photograph's name; empty without such an ending, or with two."""
    first = names[0]
    endings = [mask[len(first) :] for mask in masks if mask.startswith(first) and not mask[len(first)].isalnum()]
    fitting = [ending for ending in endings if all(name + ending in masks for name in names)]
    return {name: masks[name + fitting[0]] for name in names} if len(fitting) == 1 else {}


def _by_core(names: Sequence[str], files: NamedFiles) -> dict[str, pathlib.Path]:
    """Masks whose names are the photographs' but for the words that say what they are; empty if two become equal."""
    images, masks = ([_KIND_OF_NAME.sub("", name) for name in kind] for kind in (files.images, files.masks))
    if len(set(images)) < len(images) or len(set(masks)) < len(masks):
        return {}
    mask_of = dict(zip(masks, files.masks.values(), strict=True))
    cores = {name: _KIND_OF_NAME.sub("", name) for name in names}
    return {name: mask_of[core] for name, core in cores.items() if core in mask_of}


def _refusal(
    root: pathlib.Path, files: NamedFiles, strange: Mapping[str, str], without: Sequence[str], pattern: str | None
) -> str:
    """The message about photographs and masks that do not fit, with three of each side."""
    problems, ways = [], []
    if strange:
        listed = [f"{line}: {why}" for line, why in strange.items()]
        problems.append(f"{len(strange)} lines that name no pair ({'; '.join(listed[:_MOST_LISTED])})")
        ways.append("A line of a list is the name or the path of a photograph, and maybe of its mask after it.")
    if without:
        problems.append(f"{len(without)} photographs without a mask ({first_few(without[:_MOST_LISTED])})")
        if lossy := [name for name in without if find_mask(name, files.lossy)]:
            kinds = {files.lossy[name].suffix.lower() for name in files.lossy}
            kind = "JPEG" if ".jpg" in kinds or ".jpeg" in kinds else " and ".join(sorted(kinds))
            ways.append(
                f"{len(lossy)} have a mask in {kind}, which changes the values of a mask along every edge: find the "
                "masks as PNG."
            )
        stems = {
            name: next((name.removesuffix(end) for end in MASK_ENDINGS if name.endswith(end)), "") for name in without
        }
        if among := [name for name, stem in stems.items() if stem in files.images]:
            ways.append(
                f"{first_few(among[:_MOST_LISTED])} among the photographs look like masks: move them to the masks."
            )
    if not files.images:
        problems.append("no photograph")
    images, masks = (first_few([path.name for path in kind.values()][:_MOST_LISTED]) for kind in files[:2])
    if not ways:
        ways.append(
            f'If the masks have other names, say which: mask_pattern="{{name}}_mask" (--mask_pattern). Received: '
            f"{pattern!r}."
            if pattern
            else 'If the masks have other names, say which: mask_pattern="{name}_mask" (--mask_pattern).'
        )
    seen = f" Photographs: {images or 'none'}. Masks: {masks or 'none'}."
    return (
        f"{root}: expected a mask for every photograph, with the same name. Received: "
        f"{' and '.join(problems) or 'no photograph'}.{seen} {' '.join(ways)}"
    )
