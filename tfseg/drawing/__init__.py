"""What people look at: masks with a palette, photographs under the colors of their classes, and sheets of them."""

from tfseg.drawing.colors import Colors, color_table
from tfseg.drawing.masks import write_mask
from tfseg.drawing.overlays import ALPHA, overlay
from tfseg.drawing.photographs import as_photograph

__all__ = ["ALPHA", "Colors", "as_photograph", "color_table", "overlay", "write_mask"]
