"""Some pairs of a data set in one picture: wrong masks show before a training is lost on them."""

import numpy as np

from tfseg import drawing
from tfseg.data.datasets import Dataset
from tfseg.data.loader import load
from tfseg.drawing.legends import legend_entries
from tfseg.drawing.painting import painted
from tfseg.drawing.sheets import Tile, arrange
from tfseg.types import Array, Path
from tfseg.writing import atomic

_ALPHA = 0.5  # more than in an overlay: here the masks are looked at
_FONT_SHARE = 1 / 24  # font size per width of a photograph
_FONT_SMALLEST, _FONT_LARGEST = 11, 20  # pixels


def contact_sheet(dataset: Dataset, path: Path, *, count: int = 12, columns: int = 4, width: int = 320) -> None:
    """Writes an image of some pairs, chosen at equal distances: each mask over its photograph, above the file's name.

    Void is hatched. A legend below shows the classes and their share of all pixels shown. Unusable pairs are left out,
    because the inspection reports them.

    Args:
        dataset: `Dataset` to show.
        path: where the PNG is written; an existing file is replaced.
        count: number of pairs.
        columns: number of pairs per row.
        width: width of each photograph, in pixels.
    Raises:
        ValueError: none of the chosen pairs can be read.
    Example:
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("streets", (pair,), tfseg.data.Labels(11))
        >>> tfseg.data.contact_sheet(dataset, "sheet.png", count=1, width=240)
        >>> height, width, _ = tfseg.read_image("sheet.png").shape
        >>> width, height > 180
        (240, True)
    """
    chosen = np.unique(np.linspace(0, len(dataset.pairs) - 1, count).round().astype(int))
    table = drawing.color_table(dataset.colors, dataset.num_classes + 1)
    void = dataset.num_classes
    counts = np.zeros(dataset.num_classes + 1, "int64")
    tiles = []
    for index in chosen:
        try:
            image, mask = load(dataset.pairs[index], dataset.labels, dataset.photographs)
        except (ValueError, OSError):
            continue
        mask = np.where(mask == dataset.labels.void_id, void, mask)
        counts += np.bincount(mask.ravel(), minlength=len(counts))
        photograph, classes = _resized(drawing.as_photograph(image), mask, width)
        picture = painted(photograph, classes, table, alpha=_ALPHA, outlines=True, void=void)
        tiles.append(Tile(picture, dataset.pairs[index].image.name))
    if not tiles:
        raise ValueError(f"{dataset.name}: none of the pairs chosen for the contact sheet can be read.")
    em = min(_FONT_LARGEST, max(_FONT_SMALLEST, round(width * _FONT_SHARE)))
    legend = legend_entries(counts, table, dataset.classes, void=void)
    title = f"{dataset.name}: {len(tiles)} of {len(dataset.pairs)} pairs"
    sheet = arrange(tiles, legend, columns=columns, em=em, title=title, gap=max(2, em // 2))
    with atomic(path, overwrite=True) as partial:
        sheet.save(partial, format="PNG")


def _resized(photograph: Array, mask: Array, width: int) -> tuple[Array, Array]:
    """Both at one width; of the mask, every n-th pixel."""
    from PIL import Image

    height = max(1, round(width * mask.shape[0] / mask.shape[1]))
    small = np.asarray(Image.fromarray(photograph).resize((width, height), Image.Resampling.BILINEAR))
    rows = (np.arange(height) + 0.5) * mask.shape[0] / height
    columns = (np.arange(width) + 0.5) * mask.shape[1] / width
    return small, mask[rows.astype(int)[:, None], columns.astype(int)]
