"""The flags of a data set: the text file of a palette."""

import pytest

from tfseg_cli.datasets import read_palette


def test_palette_file_maps_colors_to_ids_and_names(tmp_path):
    path = tmp_path / "colors.txt"
    path.write_text("# comment\n128 128 128 Sky\n0 0 0 Void\n64 0 64 Tunnel wall\n\n128 0 0\tTunnel wall\n")
    palette, names = read_palette(path)
    assert names == ["Sky", "Tunnel wall"]
    assert palette == {(128, 128, 128): 0, (0, 0, 0): 255, (64, 0, 64): 1, (128, 0, 0): 1}


@pytest.mark.parametrize("line", ["128 128 Sky", "128 128 256 Sky", "128 a 128 Sky"])
def test_invalid_line_of_a_palette_file_is_named(tmp_path, line):
    path = tmp_path / "colors.txt"
    path.write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"colors.txt, line 1: expected `red green blue name`"):
        read_palette(path)
