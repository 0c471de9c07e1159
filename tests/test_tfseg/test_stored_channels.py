"""Images of any number of channels: read as their files store them, or refused with the reason."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from tfseg.georeference import has_place, tiff_tags
from tfseg.missing_data import missing_pixels
from tfseg.stored_channels import channels_size, read_channels

rasterio = pytest.importorskip("rasterio")

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500000, 0, -10, 4600000)}


def values(channels, dtype="uint16", size=(6, 9), seed=0):
    random = np.random.default_rng(seed)
    if np.issubdtype(np.dtype(dtype), np.floating):
        return random.normal(size=(*size, channels)).astype(dtype)
    return random.integers(1, 200 if np.dtype(dtype).itemsize == 1 else 5000, (*size, channels)).astype(dtype)


def geotiff(path, array, **options):
    """Writes channels as rasterio does."""
    height, width, count = array.shape
    profile = {"driver": "GTiff", "width": width, "height": height, "count": count, "dtype": array.dtype.name}
    with rasterio.open(path, "w", **(profile | PLACE | options)) as file:
        file.write(np.moveaxis(array, -1, 0))
    return path


def without_rasterio(monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", ">u2", ">f4", "bool"])
@pytest.mark.parametrize("channels", [1, 4, 13])
def test_arrays_are_read_as_they_are_stored(tmp_path, dtype, channels):
    array = values(channels).astype(dtype) if dtype == "bool" else values(channels, dtype)
    np.save(tmp_path / "a.npy", np.asfortranarray(array) if channels == 4 else array)
    read = read_channels(tmp_path / "a.npy", channels)
    np.testing.assert_array_equal(read, array.astype("float32") if dtype == "float64" else array)
    assert read.dtype.isnative
    assert channels_size(tmp_path / "a.npy") == (9, 6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("channels", [1, 3, 4, 6])
@pytest.mark.parametrize(
    "options", [{}, {"compress": "deflate", "interleave": "band", "tiled": True, "BIGTIFF": "YES"}]
)
def test_tiffs_are_read_as_they_are_stored(tmp_path, dtype, channels, options):
    options = options | ({"blockxsize": 16, "blockysize": 16} if options else {})
    array = values(channels, dtype)
    path = geotiff(tmp_path / "a.tif", array, **options)
    np.testing.assert_array_equal(read_channels(path, channels), array)
    np.testing.assert_array_equal(read_channels(io.BytesIO(path.read_bytes()), channels), array)
    assert channels_size(path) == (9, 6)
    assert has_place(path)


def test_pictures_without_loss_are_read_as_they_are_stored(tmp_path):
    for channels, mode in ((1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")):
        array = values(channels, "uint8")
        Image.fromarray(array.squeeze(-1) if channels == 1 else array, mode).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_channels(tmp_path / "a.png", channels), array)
    deep = values(1)
    Image.fromarray(deep[..., 0]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_channels(tmp_path / "a.png", 1), deep)
    import tensorflow as tf

    colors = values(4)
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(colors).numpy())
    np.testing.assert_array_equal(read_channels(tmp_path / "a.png", 4), colors)


@pytest.mark.parametrize(
    ("channels", "dtype"), [(1, "uint8"), (3, "uint8"), (4, "uint8"), (1, "uint16"), (1, "float32")]
)
def test_plain_tiffs_need_no_rasterio(tmp_path, monkeypatch, channels, dtype):
    array = values(channels, dtype)
    path = geotiff(tmp_path / "a.tif", array, nodata=7)
    array[2, 3] = 7
    geotiff(path, array, nodata=7)
    expected = read_channels(path, channels)
    assert missing_pixels(expected).sum() >= 1
    without_rasterio(monkeypatch)
    np.testing.assert_array_equal(read_channels(path, channels), expected)


@pytest.mark.parametrize(("channels", "dtype"), [(5, "uint8"), (4, "uint16"), (3, "float32"), (3, "uint16")])
def test_other_tiffs_say_what_to_install(tmp_path, monkeypatch, channels, dtype):
    path = geotiff(tmp_path / "a.tif", values(channels, dtype))
    without_rasterio(monkeypatch)
    with pytest.raises(ValueError, match=r'a.tif: .* needs rasterio .* pip install "tfseg\[geotiff\]"'):
        read_channels(path, channels)


def refusals(directory):
    """File -> the refusal of it as an image of 4 channels."""

    def array(name, content):
        np.save(directory / name, content)
        return directory / name

    nan = values(4, "float32")
    nan[0, 0, 0] = np.nan
    short = directory / "short.npy"
    np.save(short, values(4))
    short.write_bytes(short.read_bytes()[:-20])
    np.savez(directory / "several.npz", values(4))
    (directory / "several.npz").rename(directory / "zipped.npy")
    (directory / "head.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': nonsens")
    Image.new("CMYK", (9, 6), (1, 2, 3, 4)).save(directory / "cmyk.tif")
    Image.new("CMYK", (9, 6), (1, 2, 3, 4)).save(directory / "cmyk.jpg")
    (directory / "white.pgm").write_bytes(b"P5\n2 1\n100\n\x01\x02")
    palette = Image.fromarray(values(1, "uint8")[..., 0], "P")
    palette.putpalette(list(range(256)) * 3)
    palette.save(directory / "palette.tif")
    palette.save(directory / "palette.png")
    return {
        array(
            "first.npy", values(4).transpose(2, 0, 1)
        ): r"channels seem to come first: save np.moveaxis\(array, 0, -1",
        array("more.npy", values(5)): r"expected 4 channels. Received: 5",
        array("flat.npy", values(1)[..., 0]): r"expected 4 channels. Received: 1",
        array("batch.npy", values(4)[None]): r"one array \(height, width, channels\).*each image of a batch",
        array("empty.npy", values(4)[:0]): r"one array \(height, width, channels\)",
        array("nan.npy", nan): r"1 that are NaN or infinite.*no_data=float\('nan'\) \(--no_data=nan\)",
        array("infinite.npy", values(4, "float32") * np.float32("inf")): "that are NaN or infinite",
        array("huge.npy", values(4, "float64") * 1e300): "that 32-bit floats hold",
        array("ids.npy", values(4, "int64") + 2**40): "not exact in 32-bit floats",
        array("complex.npy", values(4).astype("complex64")): "expected an array of numbers.*complex64",
        array("text.npy", values(4).astype("U5")): "expected an array of numbers",
        array("fields.npy", np.zeros((2, 2, 4), [("r", "u1")])): "expected an array of numbers",
        array("objects.npy", values(4).astype(object)): "Python objects, which are never loaded",
        geotiff(directory / "complex.tif", values(4).astype("complex64")): "expected real numbers. Received: complex64",
        directory / "cmyk.tif": "CMYK would be converted to RGB",
        directory / "cmyk.jpg": "JPEG of mode CMYK",
        directory / "white.pgm": "PPM of mode L",
        short: "ends before the array",
        directory / "head.npy": "head of a .npy file is damaged",
        directory / "zipped.npy": "a zip archive",
        directory / "palette.tif": "places in a palette",
        directory / "palette.png": "of mode P",
    }


def test_what_is_no_image_is_refused_with_the_reason(tmp_path):
    for path, message in refusals(tmp_path).items():
        with pytest.raises((ValueError, OSError), match=message):
            read_channels(path, 4)


def test_an_array_that_claims_gigabytes_is_refused_before_it_is_read(tmp_path):
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 100000, 4), }".ljust(117) + "\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode())
    with pytest.raises(OSError, match="ends before the array that it announces"):
        read_channels(tmp_path / "a.npy", 4)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes().replace(b"(100000, 100", b"(-10000, 100"))
    with pytest.raises(ValueError, match=r"head of a .npy file is damaged \(it has the shape \(-10000, 100000, 4\)"):
        channels_size(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", values(4))
    with pytest.raises(ValueError, match=r"9x6 pixels exceeds max_pixels, 50"):
        read_channels(tmp_path / "b.npy", 4, max_pixels=50)
    with pytest.raises(ValueError, match=r"9x6 pixels exceeds max_pixels, 50"):
        read_channels(geotiff(tmp_path / "b.tif", values(4)), 4, max_pixels=50)


# ------------------------------------------------------------------------------------------------------- missing data


def test_a_value_for_missing_data_is_missing_in_every_channel_that_has_it(tmp_path):
    array = values(4, "float32")
    array[1, 2] = -9999
    array[3, 4, 0] = -9999
    read = read_channels(geotiff(tmp_path / "a.tif", array, nodata=-9999), 4)
    np.testing.assert_array_equal(np.argwhere(np.isnan(read).all(-1)), [[1, 2]])
    np.testing.assert_array_equal(np.isnan(read[3, 4]), [True, False, False, False])
    np.testing.assert_array_equal(read_channels(tmp_path / "a.tif", 4, no_data="none"), array)


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 0), ("uint8", 255), ("uint16", 0), ("uint16", 65535)])
def test_a_brightness_is_missing_where_all_channels_have_it(tmp_path, dtype, value):
    """0 in one channel alone is a dark pixel; in all of them, it is the border that the file says."""
    array = values(3, dtype)
    array[0], array[1, 2, 1] = value, value
    read = read_channels(geotiff(tmp_path / "a.tif", array, nodata=value), 3)
    np.testing.assert_array_equal(missing_pixels(read), np.arange(6)[:, None].repeat(9, 1) == 0)
    assert read[1, 2, 1] == value


@pytest.mark.parametrize("no_data", [np.nan, 3.0])
def test_the_user_says_what_is_missing_in_an_array(tmp_path, no_data):
    array = values(2, "float32")
    array[1, 1] = no_data
    np.save(tmp_path / "a.npy", array)
    read = read_channels(tmp_path / "a.npy", 2, no_data=no_data)
    np.testing.assert_array_equal(np.argwhere(missing_pixels(read)), [[1, 1]])
    array[1, 1], read[1, 1] = 0, 0
    np.testing.assert_array_equal(read, array)


def test_a_mask_in_the_file_is_missing_data_and_a_channel_called_alpha_is_none(tmp_path):
    """GDAL calls the fourth channel of 8 bits alpha; whoever asks for four channels has infrared there."""
    array = values(4, "uint8")
    array[0, 0, 3] = 0
    path = geotiff(tmp_path / "a.tif", array)
    with rasterio.open(path) as file:
        assert file.colorinterp[3] == rasterio.enums.ColorInterp.alpha
    np.testing.assert_array_equal(read_channels(path, 4), array)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(np.arange(6)[:, None].repeat(9, 1) > 0)
    np.testing.assert_array_equal(missing_pixels(read_channels(path, 4)), np.arange(6)[:, None].repeat(9, 1) == 0)
    assert missing_pixels(read_channels(path, 4, no_data="none")) is None


def test_damaged_tiffs_have_no_tags(tmp_path):
    path = geotiff(tmp_path / "a.tif", values(4))
    content = path.read_bytes()
    for length in (0, 3, 8, 12, len(content) // 2):
        path.write_bytes(content[:length])
        tiff_tags(path)
        with pytest.raises((ValueError, OSError)):
            read_channels(path, 4)
