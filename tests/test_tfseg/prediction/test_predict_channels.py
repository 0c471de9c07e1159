"""Predictions of images of many channels: the same numbers everywhere, void without data, and a place on Earth."""

import io
import json

import keras
import numpy as np
import pytest
from helpers.channel_images import STD, channels, expected_classes, pixelwise_segmenter, write_geotiff
from helpers.data_sets import photograph, save

import tfseg

rasterio = pytest.importorskip("rasterio")


def missing(array, value=-9999):
    array = array.copy()
    array[:2] = value
    return array


def test_arrays_and_files_have_the_same_classes(tmp_path):
    model, image = pixelwise_segmenter(), channels()
    expected = expected_classes(model, image)
    np.save(tmp_path / "a.npy", image)
    for source in (image, image.astype("float64"), tmp_path / "a.npy", write_geotiff(tmp_path / "a.tif", image)):
        np.testing.assert_array_equal(tfseg.predict(model, source), expected)
    np.testing.assert_array_equal(tfseg.predict(model, np.stack([image] * 2))[1], expected)
    np.testing.assert_array_equal(tfseg.predict(model, image, window=(8, 8)), expected)
    np.testing.assert_array_equal(tfseg.predict(model, image, return_probabilities=True).argmax(-1), expected)
    assert len(np.unique(expected)) == 3


def test_pixels_without_data_are_void(tmp_path):
    model, image = pixelwise_segmenter(), channels()
    path = write_geotiff(tmp_path / "a.tif", missing(image), nodata=-9999)
    expected = expected_classes(model, image)
    expected[:2] = 255
    np.testing.assert_array_equal(tfseg.predict(model, path), expected)


def test_arrays_that_no_file_holds_are_refused():
    model, image = pixelwise_segmenter(), channels()
    with pytest.raises(
        ValueError, match=r"An image is \(height, width, 4\).*as its file stores it. Received: shape \(12, 16, 3\)"
    ):
        tfseg.predict(model, image[..., :3])
    image[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="finite values"):
        tfseg.predict(model, image)
    for array, message in (
        (channels().astype("complex64"), "real numbers"),
        (channels().astype(object), "real numbers"),
        (channels().astype("float64") * 1e300, "exact in 32-bit floats"),
        (channels().astype("int64") + 2**30, "exact in 32-bit floats"),
    ):
        with pytest.raises(ValueError, match=message):
            tfseg.predict(model, array)
    with pytest.raises(ValueError, match=r"no_data is .* a number.*Received: '0'"):
        tfseg.predict_files(model, "nowhere", "out", no_data="0")


def test_masks_of_geotiffs_carry_their_place_and_void(tmp_path):
    model = pixelwise_segmenter()
    tfseg.set_metadata(model, classes=["a", "b", "c"], colors=[[255, 0, 0], [0, 255, 0], [0, 0, 255]])
    images = tmp_path / "images"
    for index in range(3):
        write_geotiff(images / "deep" / f"f{index}.tif", missing(channels(index)), nodata=-9999)
    np.save(images / "plain.npy", channels(9))
    outcome = tfseg.predict_files(model, images, tmp_path / "out", progress=False, probabilities=True)
    assert (outcome.predicted, outcome.failed, outcome.left_out) == (4, [], [])
    for index in range(3):
        expected = expected_classes(model, channels(index))
        expected[:2] = 255
        with (
            rasterio.open(images / "deep" / f"f{index}.tif") as source,
            rasterio.open(tmp_path / "out" / "deep" / f"f{index}.tif") as result,
        ):
            np.testing.assert_array_equal(result.read(1), expected)
            assert (result.crs, result.transform, result.nodata) == (source.crs, source.transform, 255)
            assert result.colormap(1)[1] == (0, 255, 0, 255)
        assert (tmp_path / "out" / "deep" / f"f{index}_overlay.jpg").exists()
        probabilities = np.load(tmp_path / "out" / "deep" / f"f{index}_probabilities.npy")
        assert probabilities.shape == (12, 16, 3)
    assert tfseg.read_image(tmp_path / "out" / "plain.png").shape == (12, 16, 3)
    # The next run keeps all, and one with another value for missing data makes them again.
    assert tfseg.predict_files(model, images, tmp_path / "out", progress=False, probabilities=True).kept == 4
    again = tfseg.predict_files(model, images, tmp_path / "out", progress=False, no_data="none", overlays=False)
    assert again.renewed == 4
    with rasterio.open(tmp_path / "out" / "deep" / "f0.tif") as result:
        assert (result.read(1) < 3).all()


def test_large_images_are_seen_through_windows(tmp_path):
    model, image = pixelwise_segmenter(), channels(size=(40, 50))
    write_geotiff(tmp_path / "images" / "a.tif", missing(image), nodata=-9999)
    tfseg.predict_files(model, tmp_path / "images", tmp_path / "out", progress=False, pixels=400)
    expected = expected_classes(model, image)
    expected[:2] = 255
    with rasterio.open(tmp_path / "out" / "a.tif") as result:
        np.testing.assert_array_equal(result.read(1), expected)


@pytest.mark.parametrize("count", [3, 300])
def test_photographs_with_a_place_keep_it(tmp_path, count):
    """A network for photographs, too: the black border of an orthophoto is void, in masks as wide as the classes."""
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
    model = keras.Model(image, keras.layers.Conv2D(count, 1)(x))
    picture = np.maximum(photograph(), 1)
    picture[:, :7] = 0
    write_geotiff(tmp_path / "images" / "a.tif", picture, nodata=0)
    write_geotiff(tmp_path / "images" / "b.tif", np.maximum(photograph(1), 1))
    save(tmp_path / "images" / "c.tif", photograph(2))
    tfseg.predict_files(model, tmp_path / "images", tmp_path / "out", progress=False)
    void = 255 if count == 3 else 65535
    with rasterio.open(tmp_path / "out" / "a.tif") as result:
        classes = result.read(1)
        assert result.crs == "EPSG:32633"
        assert (result.dtypes[0], result.nodata) == (("uint8", 255) if count == 3 else ("uint16", 65535))
    expected = tfseg.predict(model, picture)
    expected[:, :7] = void
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_array_equal(tfseg.predict(model, tmp_path / "images" / "a.tif"), expected)
    assert sorted(
        path.name for path in (tmp_path / "out").glob("*.*") if path.suffix != ".jpg" and path.name[0] != "."
    ) == [
        "a.tif",
        "b.tif",
        "c.png",
    ]


def test_a_bigtiff_with_a_matrix_keeps_its_place(tmp_path):
    """A turned picture has no scale and no tie point, but a matrix; its TIFF may be of the large kind."""
    turned = rasterio.Affine(8, 6, 500000, 6, -8, 4600000)
    for options in ({"BIGTIFF": "YES"}, {"BIGTIFF": "NO", "ENDIANNESS": "BIG"}):
        path = write_geotiff(tmp_path / "images" / "a.tif", channels(), transform=turned, **options)
        tfseg.predict_files(pixelwise_segmenter(), path, tmp_path / "out", progress=False, overwrite=True)
        with rasterio.open(tmp_path / "out" / "a.tif") as result:
            assert (result.crs, result.transform) == ("EPSG:32633", turned)


@pytest.mark.full
def test_an_exported_model_serves_the_same_classes(tmp_path):
    pytest.importorskip("aiohttp")
    from tfseg.serving import answers, uploads
    from tfseg.serving.exported import ExportedModel

    model, image = pixelwise_segmenter(), channels()
    folder = tfseg.export(model, tmp_path / "exported", ["saved_model", "keras"])
    assert tfseg.metadata(tfseg.load(folder))["preprocessing"]["std"] == list(map(float, STD))
    exported = ExportedModel(folder)
    assert exported.channels == 4
    received = uploads.decode(as_npy(image), 1000, exported.channels)
    classes = exported.segment(received)
    np.testing.assert_array_equal(classes, expected_classes(model, image))
    assert answers.overlay(received, classes, exported, [])[1] == "image/jpeg"
    path = write_geotiff(tmp_path / "a.tif", missing(image), nodata=-9999)
    received = uploads.decode(path.read_bytes(), 1000, exported.channels)
    classes = exported.segment(received)
    np.testing.assert_array_equal(classes, tfseg.predict(model, path))
    assert (classes[:2] == 255).all()
    rows = json.loads(answers.shares(received, classes, exported, [])[0])["classes"]
    assert sum(row["pixels"] for row in rows) == 10 * 16
    assert all(answers.OUTPUTS[kind](received, classes, exported, [])[0] for kind in answers.OUTPUTS)


def as_npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_ground_control_points_are_kept(tmp_path):
    """Pictures of drones and old maps have points instead of a scale."""
    points = [
        rasterio.control.GroundControlPoint(row, column, 500000 + 10 * column + row, 4600000 - 10 * row + column)
        for row, column in ((0, 0), (0, 15), (11, 0), (11, 15))
    ]
    path = write_geotiff(tmp_path / "images" / "a.tif", channels(), transform=None, gcps=points)
    tfseg.predict_files(pixelwise_segmenter(), path, tmp_path / "out", progress=False)
    with rasterio.open(path) as source, rasterio.open(tmp_path / "out" / "a.tif") as result:
        assert len(source.gcps[0]) == 4
        assert [(p.row, p.col, p.x, p.y) for p in result.gcps[0]] == [(p.row, p.col, p.x, p.y) for p in source.gcps[0]]
        assert result.gcps[1] == source.gcps[1] == "EPSG:32633"


def test_uploads_of_many_channels_are_checked_before_they_are_decoded(tmp_path):
    from tfseg.serving import uploads
    from tfseg.serving.errors import Refused

    image = channels()
    for content in (as_npy(image), write_geotiff(tmp_path / "a.tif", image).read_bytes()):
        assert uploads.count_pixels(content, 1000, 4) == 12 * 16
        np.testing.assert_array_equal(uploads.decode(content, 1000, 4), image)
        with pytest.raises(Refused, match="at most 100 pixels"):
            uploads.count_pixels(content, 100, 4)
    with pytest.raises(Refused, match=r"expected 4 channels. Received: 3"):
        uploads.decode(as_npy(image[..., :3]), 1000, 4)
    with pytest.raises(Refused, match=r"npy \(height, width, channels\)"):
        uploads.count_pixels(b"nothing", 100, 4)
