"""Data sets of many channels: pairs, statistics, batches, and what is void."""

import json

import numpy as np
import pytest
from helpers.channel_images import MEAN, STD, channels, pixelwise_segmenter, write_geotiff
from helpers.data_sets import mask, photograph, save

import tfseg
from tfseg import data
from tfseg.data.channel_statistics import channel_statistics
from tfseg.data.loader import load


def fields(root, count=4, *, write=write_geotiff, suffix=".tif", **options):
    """A data set of four channels whose masks have the classes 0, 1, 2 and void."""
    for index in range(count):
        write(root / "images" / f"p{index}{suffix}", channels(index), **options)
        save(root / "masks" / f"p{index}.png", mask(index, (12, 16)))
    return root


def write_array(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


@pytest.mark.parametrize(
    ("write", "suffix"), [(write_geotiff, ".tif"), (write_array, ".npy"), (write_geotiff, ".TIFF")]
)
def test_pairs_are_read_as_they_are_stored(tmp_path, write, suffix):
    dataset = data.folder(fields(tmp_path, write=write, suffix=suffix), num_classes=3, channels=4)
    assert len(dataset.pairs) == 4
    for index, pair in enumerate(dataset.pairs):
        image, ids = load(pair, dataset.labels, dataset.photographs)
        np.testing.assert_array_equal(image, channels(index))
        np.testing.assert_array_equal(ids, mask(index, (12, 16)))


def test_masks_may_be_arrays_too(tmp_path):
    fields(tmp_path, write=write_array, suffix=".npy")
    for index, path in enumerate(sorted((tmp_path / "masks").glob("*.png"))):
        path.unlink()
        np.save(path.with_suffix(".npy"), mask(index, (12, 16)).astype("int64"))
    dataset = data.folder(tmp_path, num_classes=3, channels=4)
    for index, pair in enumerate(dataset.pairs):
        np.testing.assert_array_equal(data.read_mask(pair.mask, dataset.labels), mask(index, (12, 16)))
    np.save(tmp_path / "m.npy", np.eye(3)[mask(0, (12, 16), ids=(0, 1, 2))])
    with pytest.raises(ValueError, match=r"m.npy: a mask is one array \(height, width\).*one-hot"):
        data.read_mask(tmp_path / "m.npy", data.Labels(3))


@pytest.mark.parametrize("names", [("a.npy", "a.png"), ("a.tif", "a.png"), ("a.npy", "a_mask.npy")])
def test_one_directory_of_both(tmp_path, names):
    image, truth = (tmp_path / "both" / name for name in names)
    (write_geotiff if image.suffix == ".tif" else write_array)(image, channels())
    if truth.suffix == ".npy":
        np.save(truth, mask(0, (12, 16)))
    else:
        save(truth, mask(0, (12, 16)))
    dataset = data.folder(tmp_path, num_classes=3, channels=4, images="both", masks="both")
    assert [(pair.image.name, pair.mask.name) for pair in dataset.pairs] == [names]


def test_arrays_among_photographs_are_no_photographs(tmp_path):
    save(tmp_path / "images" / "a.png", photograph())
    np.save(tmp_path / "images" / "b.npy", channels())
    save(tmp_path / "masks" / "a.png", mask())
    assert len(data.folder(tmp_path, num_classes=3).pairs) == 1


def test_a_folder_of_other_images_names_the_way(tmp_path):
    fields(tmp_path, write=write_array, suffix=".npy")
    with pytest.raises(ValueError, match=r"Received: arrays \(.npy\).*--channels"):
        data.folder(tmp_path, num_classes=3)
    fields(tmp_path / "tiffs")
    assert "as they are stored: channels= (--channels)" in str(
        data.inspect_dataset(data.folder(tmp_path / "tiffs", num_classes=3))
    )


def test_statistics_are_those_of_the_pixels_that_are_not_void(tmp_path):
    fields(tmp_path)
    dataset = data.folder(tmp_path, num_classes=3, channels=4)
    counted = np.concatenate([channels(i)[mask(i, (12, 16)) != 255] for i in range(4)]).astype("float64")
    inspection = data.inspect_dataset(dataset)
    np.testing.assert_allclose(inspection.mean, counted.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(inspection.std, counted.std(axis=0), rtol=1e-5)
    assert inspection.preprocessing == {
        "channel_order": "stored",
        "divisor": 1.0,
        "mean": inspection.mean,
        "std": inspection.std,
    }
    line = next(line for line in str(inspection).splitlines() if line.startswith("4 channels"))
    mean, std = (part.split("=")[1] for part in line.split()[2:])
    np.testing.assert_allclose([float(number) for number in mean.split(",")], inspection.mean)
    np.testing.assert_allclose([float(number) for number in std.split(",")], inspection.std)
    inspection.save(tmp_path / "figures.json")
    saved = json.loads((tmp_path / "figures.json").read_text())
    assert (saved["channels"], saved["mean"], saved["std"]) == (4, inspection.mean, inspection.std)
    assert sum(saved["pixel_counts"]) == 4 * 12 * 16


def test_one_pass_is_as_exact_as_two():
    """A mean a million times the deviation: sums of squares would have lost every digit."""
    random = np.random.default_rng(0)
    parts = [random.normal(1e6, 1, (50, 60, 2)) for _ in range(8)]
    merged = None
    for part in parts:
        part_statistics = channel_statistics(part, np.ones(part.shape[:2], bool))
        merged = part_statistics if merged is None else merged.merged(part_statistics)
    together = np.concatenate(parts)
    np.testing.assert_allclose(merged.mean, together.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(merged.std, together.std(axis=(0, 1)), rtol=1e-7)


def test_photographs_are_measured_too(tmp_path):
    for index in range(3):
        save(tmp_path / "images" / f"p{index}.png", photograph(index))
        save(tmp_path / "masks" / f"p{index}.png", mask(index))
    inspection = data.inspect_dataset(data.folder(tmp_path, num_classes=3))
    counted = np.concatenate([photograph(i)[mask(i) != 255] for i in range(3)]).astype("float64")
    np.testing.assert_allclose(inspection.mean, counted.mean(axis=0), rtol=1e-5)
    assert inspection.preprocessing["channel_order"] == "RGB"


def test_pixels_without_data_are_void_and_do_not_count(tmp_path):
    array = channels()
    array[:3], array[5, 5, 0] = -9999, -9999
    write_geotiff(tmp_path / "images" / "a.tif", array, nodata=-9999)
    save(tmp_path / "masks" / "a.png", mask(0, (12, 16), ids=(0, 1, 2)))
    dataset = data.folder(tmp_path, num_classes=3, channels=4)
    ids = load(dataset.pairs[0], dataset.labels, dataset.photographs)[1]
    expected = mask(0, (12, 16), ids=(0, 1, 2))
    expected[:3] = 255
    np.testing.assert_array_equal(ids, expected)
    inspection = data.inspect_dataset(dataset)
    assert inspection.pixel_counts[-1] == 3 * 16
    counted = channels()[3:].reshape(-1, 4)
    np.testing.assert_allclose(inspection.mean[1:], counted.mean(axis=0)[1:], rtol=1e-5)
    assert abs(inspection.mean[0] - MEAN[0]) < 100
    # Whoever says that all pixels have data is believed.
    everything = data.folder(tmp_path, num_classes=3, channels=4, no_data="none")
    assert data.inspect_dataset(everything).pixel_counts[-1] == 0


@pytest.mark.parametrize("said_by", ["file", "user"])
def test_the_border_of_an_orthophoto_is_void(tmp_path, said_by):
    picture = np.maximum(photograph(), 1)
    picture[:, :5] = 0
    picture[7, 20] = (0, 90, 90)  # a dark red, and no border
    if said_by == "file":
        write_geotiff(tmp_path / "images" / "a.tif", picture, nodata=0)
    else:
        save(tmp_path / "images" / "a.png", picture)
    save(tmp_path / "masks" / "a.png", mask(0, ids=(0, 1, 2)))
    dataset = data.folder(tmp_path, num_classes=3, no_data=None if said_by == "file" else 0)
    image, ids = load(dataset.pairs[0], dataset.labels, dataset.photographs)
    np.testing.assert_array_equal(image, picture)
    np.testing.assert_array_equal(ids == 255, np.arange(32)[None, :].repeat(24, 0) < 5)
    plain = data.folder(tmp_path, num_classes=3, no_data="none")
    assert (load(plain.pairs[0], plain.labels, plain.photographs)[1] != 255).all()


def test_batches_have_the_mean_where_data_is_missing(tmp_path):
    array = channels()
    array[2, 3] = array[6, 6, 1] = -9999
    write_geotiff(tmp_path / "images" / "a.tif", array, nodata=-9999)
    save(tmp_path / "masks" / "a.png", mask(0, (12, 16), ids=(0, 1, 2)))
    dataset = data.folder(tmp_path, num_classes=3, channels=4)
    preprocessing = tfseg.metadata(pixelwise_segmenter())["preprocessing"]
    (images, ids), *_ = data.batches(dataset, 1, preprocessing, steps=1)
    expected = (channels() - MEAN) / np.array(STD)
    expected[2, 3] = expected[6, 6, 1] = 0
    np.testing.assert_allclose(images[0], expected, atol=1e-4)
    assert ids[0, 2, 3] == 255
    augmentation = data.Augmentation(crop=(9, 20), scale=(0.5, 2))
    for images, _ in data.batches(dataset, 2, preprocessing, steps=6, augmentation=augmentation):
        assert images.shape == (2, 9, 20, 4)
        assert np.isfinite(images).all()
    with pytest.raises(ValueError, match=r"jitter changes the colors of photographs.*jitter=0"):
        data.batches(dataset, 1, preprocessing, augmentation=data.Augmentation(crop=(8, 8), jitter=0.2))


def test_a_channel_that_never_changes_is_said(tmp_path):
    array = channels()
    array[..., 2] = 7
    write_array(tmp_path / "images" / "a.npy", array)
    save(tmp_path / "masks" / "a.png", mask(0, (12, 16)))
    inspection = data.inspect_dataset(data.folder(tmp_path, num_classes=3, channels=4))
    assert "channel 3 has one value throughout" in str(inspection)
    assert inspection.std[2] == 1


def test_wrong_channels_are_a_fault_of_each_pair(tmp_path):
    inspection = data.inspect_dataset(data.folder(fields(tmp_path), num_classes=3, channels=5))
    assert inspection.spoils
    assert "expected 5 channels. Received: 4" in str(inspection)
    assert "And 3 more like it." in str(inspection)
    for options, message in (
        ({"channels": "4"}, "channels is a number from 1"),
        ({"channels": 0}, "channels is a number from 1"),
        ({"channels": 4, "no_data": "nan"}, r"no_data is .* float\('nan'\)"),
        ({"channels": 4, "no_data": (0, 0)}, "no_data is"),
    ):
        with pytest.raises(ValueError, match=message):
            data.folder(tmp_path, num_classes=3, **options)
    with pytest.raises(ValueError, match="image_bits= changes nothing"):
        data.folder(tmp_path, num_classes=3, channels=4, image_bits=12)


def test_a_contact_sheet_shows_three_channels(tmp_path):
    dataset = data.folder(fields(tmp_path), num_classes=3, channels=4)
    data.contact_sheet(dataset, tmp_path / "sheet.png", count=2, columns=2, width=32)
    assert tfseg.read_image(tmp_path / "sheet.png").std() > 20


def test_a_model_for_photographs_is_refused_and_the_other_way_around(tmp_path):
    dataset = data.folder(fields(tmp_path), num_classes=3, channels=4)
    model = tfseg.build("fcn_resnet18", num_classes=3, width=1 / 16)
    for function in (tfseg.evaluation.evaluate, tfseg.training.preparation.adapt_to_dataset):
        with pytest.raises(
            ValueError, match=r"images of 4 channels, as stored, .* takes photographs.*adapt_channels\(model, 4"
        ):
            function(model, dataset)
    assert tfseg.evaluation.evaluate(pixelwise_segmenter(), dataset).matrix.sum() == sum(
        (mask(i, (12, 16)) != 255).sum() for i in range(4)
    )
