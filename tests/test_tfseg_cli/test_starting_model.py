"""What a run notes of the weights that it starts from: another file, name or address is told from the first."""

import pytest
from absl import flags
from absl.testing import flagsaver

from tfseg_cli import starting_model


def origin(source):
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(weights=str(source)):
        return starting_model.origin()


@pytest.mark.parametrize(
    ("weights", "same", "other"),
    [
        ("vgg16-397923af", "vgg16-397923af.pth", "vgg19-dcbb9e9d"),
        ("https://example.org/a.pth", "https://example.org/a.pth", "https://example.org/b.pth"),
        ("file.pth", "copy.pth", "other.pth"),
        ("folder", "copy/folder", "other/folder"),
        ("model.ckpt", "copy/model.ckpt", "other/model.ckpt"),
    ],
)
def test_weights_are_told_apart(tmp_path, monkeypatch, weights, same, other):
    monkeypatch.chdir(tmp_path)
    for place, content in ((".", b"a"), ("copy", b"a"), ("other", b"b")):
        (tmp_path / place / "folder").mkdir(parents=True)
        (tmp_path / place / "folder" / "weights").write_bytes(content)
        (tmp_path / place / "model.ckpt.index").write_bytes(content)
    for name, content in (("file", b"a"), ("copy", b"a"), ("other", b"b")):
        (tmp_path / f"{name}.pth").write_bytes(content)
    assert origin(weights)["weights"] == origin(same)["weights"]
    assert origin(weights)["weights"] != origin(other)["weights"]
    assert origin(weights)["weights_from"] == weights
