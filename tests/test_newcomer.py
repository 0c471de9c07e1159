"""A newcomer: the built wheel in fresh environments, and every command and Python block of README and Start in them.

The files that a page says its reader has are made here, of random weights where they are checkpoints. A file that is
downloaded comes from a server of this test.
"""

import hashlib
import io
import shutil

import numpy as np
import pytest
from helpers import newcomer
from helpers.data_sets import mask, photograph, save
from helpers.paths import EXAMPLES, ROOT
from helpers.references import torchvision_net
from PIL import Image

README = "README.md"
START = ("docs/index.md", "docs/start/install.md", "docs/start/first_file.md", "docs/start/first_training.md")
# The steps of the pages that install: `make demo` has a test of its own, and these tests run within `make test`.
ELSEWHERE = {"make demo", "make test"}
ONE_EPOCH = " --epochs=1"  # of the 50 that a training has by default
DOWNLOADED = "fcn_resnet50_coco-1167a1af"
pytestmark = pytest.mark.full


def commands(page):
    """The lines of a page's shell blocks, without those that install."""
    shell = [line for language, text in newcomer.blocks(page) if language == "sh" for line in text.splitlines()]
    shell = [line for line in shell if line.strip() and not line.startswith(("#", "pip install", "git clone"))]
    return [line for line in shell if line.split("#")[0].strip() not in ELSEWHERE]


def python_blocks(page):
    return [text for language, text in newcomer.blocks(page) if language == "python"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return newcomer.built_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What readers of the pages have: a clone's examples, two checkpoints, photographs, masks of three classes."""
    torch = pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("files")
    shutil.copytree(EXAMPLES, folder / "examples")
    segmenter = torchvision_net("fcn_resnet50", aux_loss=True, num_classes=21)
    torch.save(segmenter.state_dict(), folder / f"{DOWNLOADED}.pth")
    torch.save(torchvision_net("vgg16").state_dict(), folder / "vgg16-397923af.pth")
    street = Image.open(EXAMPLES / "street.png").convert("RGB")
    (folder / "photos").mkdir()
    for name in ("photo.jpg", "photos/1.jpg", "photos/2.jpg"):
        street.save(folder / name)
    for seed, name in enumerate("abc"):
        save(folder / "mine" / "images" / f"{name}.jpg", photograph(seed, (360, 340)))
        save(
            folder / "mine" / "masks" / f"{name}.png",
            np.kron(mask(seed, (9, 10), (0, 1, 2)), np.ones((40, 34), "uint8")),
        )
    (folder / "mine" / "train.txt").write_text("a\nb\n")
    (folder / "mine" / "val.txt").write_text("c\n")
    return folder


def installed(root, wheel, files, line):
    reader = newcomer.Newcomer(root, wheel, line)
    shutil.copytree(files, reader.folder, dirs_exist_ok=True)
    return reader


def follow(reader, lines):
    """Runs the lines of a page; returns what a server of them makes of a photograph."""
    answers = []
    for line in lines:
        if line.startswith("tfseg serve"):
            answers.append(reader.serve(line, reader.folder / "photo.jpg"))
        else:
            reader.run(line + ONE_EPOCH if line.startswith("tfseg train") else line)
    return answers


def test_the_readme_is_followed(tmp_path, wheel, files):
    install, _ = newcomer.lines(README, "pip")
    reader = installed(tmp_path, wheel, files, install)
    assert reader.has("torch")
    lines = commands(README)
    assert sum(line.startswith("tfseg ") for line in lines) == len(lines) == 8
    (answer,) = follow(reader, lines)
    assert np.asarray(Image.open(io.BytesIO(answer))).shape == (360, 480)
    for written in ("fcn.keras", "mine.png", "runs/mine/best.keras", "runs/mine/curves.png", "street/1/saved_model.pb"):
        assert (reader.folder / written).stat().st_size
    assert sum(name.endswith(".png") for name in newcomer.files_of(reader.folder / "maps")) >= 2
    file = files / f"{DOWNLOADED}.pth"
    with newcomer.Publisher(file) as publisher:
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        printed = reader.session(python_blocks(README), newcomer.published(DOWNLOADED, publisher.address, sha256))
    assert "networks" in printed


def test_the_start_is_followed_without_torch(tmp_path, wheel, files):
    install = newcomer.lines("docs/start/install.md", "pip")[0]
    reader = installed(tmp_path, wheel, files, install)
    assert not reader.has("torch")
    assert not reader.has("matplotlib")
    shutil.rmtree(reader.folder / "mine")
    for page in START:
        if page.endswith("first_training.md"):
            shutil.copytree(files / "mine", reader.folder / "mine")
        follow(reader, commands(page))
        if python_blocks(page):
            reader.session(python_blocks(page))
    for run in ("mine", "one_street"):
        assert (reader.folder / "runs" / run / "last.keras").stat().st_size


def test_the_readme_is_followed_without_torch(tmp_path, wheel, files):
    """What the smaller installation is said to be enough for: all but the proof against torch and the extras."""
    _, install = newcomer.lines(README, "pip")
    reader = installed(tmp_path, wheel, files, install)
    assert not reader.has("torch")
    lines = [line.replace(" --verify", "") for line in commands(README)]
    follow(reader, [line for line in lines if line.split()[1] in ("inspect", "convert", "predict", "inspect-data")])
    assert (reader.folder / "fcn.keras").stat().st_size
    blocks = [text for text in python_blocks(README) if DOWNLOADED not in text]
    assert "networks" in reader.session(blocks)


def test_demo_sets_itself_up(tmp_path):
    """`make demo` in a clone, from nothing."""
    copy = shutil.copytree(ROOT, tmp_path / "clone", ignore=newcomer.NOT_COPIED)
    home = tmp_path / "home"
    home.mkdir()
    printed = newcomer.run("make demo", copy, newcomer.environment(home))
    assert "Setting up .venv" in printed
    assert "100.0000% of the pixels have PyTorch's class" in printed
    assert (copy / "out" / "street_overlay.png").stat().st_size
