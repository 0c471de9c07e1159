"""Every form of data trains from the command line to a mean IoU above 90, on photographs that it has not seen."""

import csv

import keras
import numpy as np
import pytest
from helpers import data_set_forms, mask_forms, run_command
from helpers.data_sets import save
from PIL import Image

import tfseg

TRAINED, HELD_OUT = 12, 4
SIZE = height, width = 48, 64
COLORS = np.array([[70, 70, 70], [200, 60, 60], [60, 180, 70]])
REFLECTANCES = np.array([[9000, 400, 30000, 20], [12000, 400, 9000, 20], [9000, 900, 9000, 45]])
# A few seconds in `make test`: annotations, and the commonest report.
QUICK = ("0 and 255",)


def truth(index):
    """A rectangle of each of two classes on a background: each has about a third of the pixels."""
    random = np.random.default_rng(index)
    ids = np.zeros(SIZE, "uint8")
    for value, left in zip(random.permutation([1, 2]), (0, width // 2), strict=True):
        top, bottom = random.integers(0, 10), random.integers(height - 10, height + 1)
        start, end = random.integers(0, 6), random.integers(width // 2 - 6, width // 2 + 1)
        ids[top:bottom, left + start : left + end] = value
    return ids


def picture(index):
    noise = np.random.default_rng(1000 + index).normal(0, 25, (*SIZE, 3))
    return np.clip(COLORS[truth(index)] + noise, 0, 255).astype("uint8")


def channels(index):
    """Images of four channels, none of which tells all classes."""
    noise = np.random.default_rng(1000 + index).normal(1, 0.15, (*SIZE, 4))
    return (REFLECTANCES[truth(index)] * noise).astype("uint16")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A narrow network of one's own, for seven other classes."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
    for number, filters in ((1, 8), (2, 16)):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{number}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"conv{number}_bn")(x)
        x = keras.layers.Activation("relu", name=f"conv{number}_relu")(x)
    path = tmp_path_factory.mktemp("narrow") / "narrow.keras"
    keras.Model(image, keras.layers.Conv2D(7, 1, name="logits")(x), name="narrow").save(path)
    return path


def run(command, *words):
    done = run_command.run(f"tfseg_cli.{command}", *words)
    assert done.code == 0, done
    return done.out


def mean_iou(pairs, classes):
    """The mean IoU of pairs of masks, predicted and true."""
    predicted, true = (np.concatenate([array.ravel() for array in arrays]) for arrays in zip(*pairs, strict=True))
    ious = [((predicted == k) & (true == k)).sum() / ((predicted == k) | (true == k)).sum() for k in classes]
    return 100 * np.mean(ious)


def train_and_predict(tmp_path, narrow, data, flags, pictures):
    """Trains; the last scores of the log, and the predicted masks of pictures by their number."""
    words = [data, *flags, f"--weights={narrow}", "--val_share=0.25", "--validate_every=8", "--epochs=8"]
    words += ["--crop=48,48", "--batch_size=3", "--learning_rate=0.05", f"--run={tmp_path / 'run'}"]
    text = run("train", *words)
    assert "head for 7 classes replaced by one for" in text
    with open(tmp_path / "run" / "log.csv", newline="") as file:
        scores = list(csv.DictReader(file))[-1]
    run(
        "predict",
        pictures,
        f"--model={tmp_path / 'run' / 'best.keras'}",
        f"--output={tmp_path / 'out'}",
        "--nooverlays",
    )
    masks = {}
    for path in (tmp_path / "out").rglob("*.[pt][ni][gf]"):
        masks[int("".join(letter for letter in path.stem if letter.isdigit()))] = np.array(Image.open(path))
    assert len(masks) == HELD_OUT
    return scores, masks


def check(scores, pairs, classes):
    """The scores are above 90, for the right reason.

    Args:
        scores: row of the log.
        pairs: predicted and true mask of each held-out picture.
        classes: ids that occur.
    """
    assert {key for key in scores if key.startswith("iou ")} == {f"iou {name}" for name in classes.values()}
    assert 90 < 100 * float(scores["mean_iou"]) < 100
    assert 90 < mean_iou(pairs, classes) < 100
    others = [true for _, true in pairs[1:] + pairs[:1]]
    assert mean_iou([(predicted, other) for (predicted, _), other in zip(pairs, others, strict=True)], classes) < 75
    for constant in classes:  # whoever predicts one class everywhere is far below
        assert mean_iou([(np.full_like(true, constant), true) for _, true in pairs], classes) < 45


def forms(table):
    return [pytest.param(form, marks=[] if form in QUICK else pytest.mark.full) for form in table]


@pytest.mark.parametrize("form", forms(data_set_forms.FORMS))
def test_data_sets(tmp_path, narrow, form):
    kind = data_set_forms.FORMS[form]
    if kind.needs:
        pytest.importorskip(kind.needs)
    kind.write(tmp_path / "data", data_set_forms.Drawn(TRAINED, picture, truth, channels))
    new = [lambda index, draw=draw: draw(100 + index) for draw in (picture, truth, channels)]
    kind.write(tmp_path / "new", data_set_forms.Drawn(HELD_OUT, *new))
    scores, masks = train_and_predict(tmp_path, narrow, tmp_path / "data", kind.flags, tmp_path / "new" / kind.images)
    upright = (lambda mask: np.rot90(mask, -1)) if kind.turned else (lambda mask: mask)
    pairs = [(masks[index], upright(truth(100 + index))) for index in range(HELD_OUT)]
    names = data_set_forms.CLASSES if kind.dataset != "folder" else range(3)
    check(scores, pairs, dict(enumerate(names)))


@pytest.mark.parametrize("form", forms(mask_forms.FORMS))
def test_masks(tmp_path, narrow, form):
    kind = mask_forms.FORMS[form]
    drawn = min(kind.classes, 3)
    for index in range(TRAINED):
        save(tmp_path / "data" / "images" / f"p{index}.png", picture(index))
        kind.save(np.minimum(truth(index), drawn - 1), tmp_path / "data" / "masks" / f"p{index}")
    for index in range(HELD_OUT):
        save(tmp_path / "new" / f"p{index}.png", picture(100 + index))
    scores, masks = train_and_predict(tmp_path, narrow, tmp_path / "data", kind.flags(tmp_path), tmp_path / "new")
    pairs = [
        (masks[index], np.minimum(truth(100 + index), drawn - 1).astype(int) + kind.first) for index in range(HELD_OUT)
    ]
    ids = range(kind.first, kind.first + drawn)
    check(scores, pairs, {k: f"class{k}" if "palette" in kind.options else k for k in ids})
