"""`tfseg.predict` is the argmax of the logits of the prepared image, whatever form the image comes in."""

import gc
import struct
import weakref
import zlib

import keras
import numpy as np
import pytest
from helpers.paths import STREET
from PIL import Image

import tfseg

CAFFE_MEAN = np.array([103.939, 116.779, 123.68])
FCN_MEAN = np.array([104.00698793, 116.66876762, 122.67891434])
TORCH_MEAN, TORCH_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

BY_HAND = {
    "torch": lambda rgb: (rgb / 255 - TORCH_MEAN) / TORCH_STD,
    "caffe": lambda rgb: rgb[..., ::-1] - CAFFE_MEAN,
    "fcn": lambda rgb: rgb[..., ::-1] - FCN_MEAN,
}


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def segmenter(num_classes=5, channels=3):
    """Three layers whose classes change from pixel to pixel and depend on every channel by itself."""
    image = keras.Input((None, None, channels))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["caffe"])(image)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="tanh")(x)
    return keras.Model(image, keras.layers.Conv2D(num_classes, 1)(x), name="segmenter")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return segmenter()


@pytest.fixture(scope="module")
def unsaid():
    """A segmenter that does not say its preprocessing."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="tanh")(image)
    return keras.Model(image, keras.layers.Conv2D(5, 1)(x), name="unsaid")


def expected(model, image, preprocessing="caffe"):
    x = BY_HAND[preprocessing](image.astype("float64")).astype("float32")
    return np.argmax(keras.ops.convert_to_numpy(model(x if x.ndim == 4 else x[None])), -1).reshape(image.shape[:-1])


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1), (64, 31)])
def test_classes_of_every_pixel_at_the_images_size(model, size):
    image = pixels(*size, 3)
    classes = tfseg.predict(model, image)
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes, expected(model, image))


@pytest.mark.parametrize("size", [(32, 64), (45, 71)])
def test_an_fcn_on_resnet_keeps_odd_and_even_sizes(size):
    keras.utils.set_random_seed(0)
    network = tfseg.FCN(tfseg.ResNet(18, width=1 / 8, output_stride=8), 5)
    image = pixels(*size, 3)
    classes = tfseg.predict(network, image)
    assert classes.shape == size
    # A compiled graph may round otherwise than single steps: few pixels lie that close to a border of classes.
    assert np.mean(classes == expected(network, image, "torch")) > 0.995


@pytest.mark.parametrize("size", [(32, 64), (45, 71)])
def test_an_fcn_on_vgg_keeps_odd_and_even_sizes(size):
    keras.utils.set_random_seed(0)
    network = tfseg.FCN32s(5, width=1 / 16, padding="same")
    kernel = network.get_layer("score_fr").kernel  # its zeros would make all classes alike
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    classes = tfseg.predict(network, pixels(*size, 3))
    assert classes.shape == size
    np.testing.assert_array_equal(classes, expected(network, pixels(*size, 3), "fcn"))


def test_a_batch_is_its_images(model):
    batch = pixels(3, 21, 20, 3)
    classes = tfseg.predict(model, batch)
    assert classes.shape == (3, 21, 20)
    np.testing.assert_array_equal(classes, [tfseg.predict(model, image) for image in batch])


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_preprocessing_by_name_and_by_dictionary(unsaid, name):
    image = pixels(20, 30, 3)
    assert len({expected(unsaid, image, other).tobytes() for other in ("torch", "caffe")}) == 2
    for preprocessing in (name, tfseg.specs.PREPROCESSING[name]):
        classes = tfseg.predict(unsaid, image, preprocessing=preprocessing)
        np.testing.assert_array_equal(classes, expected(unsaid, image, name))


def test_preprocessing_given_overrules_what_the_model_carries(model):
    image = pixels(20, 30, 3)
    np.testing.assert_array_equal(tfseg.predict(model, image, preprocessing="torch"), expected(model, image, "torch"))


def test_the_model_is_compiled_once_for_all_sizes(monkeypatch):
    network, calls = segmenter(), []
    original = type(network).call
    monkeypatch.setattr(type(network), "call", lambda self, *args, **kw: calls.append(1) or original(self, *args, **kw))
    for size in ((8, 8), (9, 7), (8, 8)):
        tfseg.predict(network, pixels(*size, 3))
    assert len(calls) == (1 if keras.backend.backend() == "tensorflow" else 3)


def test_new_weights_count_and_a_dropped_model_is_freed():
    network, image = segmenter(), pixels(8, 8, 3)
    tfseg.predict(network, image)
    kernel, bias = network.layers[-1].weights
    kernel.assign(np.zeros(kernel.shape))
    bias.assign([0, 0, 0, 1, 0])
    assert (tfseg.predict(network, image) == 3).all()
    alive = weakref.ref(network)
    del network, kernel, bias
    gc.collect()
    assert alive() is None


def test_the_first_of_several_outputs_counts(model):
    several = keras.Model(model.input, [model.output, model.layers[-2].output])
    np.testing.assert_array_equal(tfseg.predict(several, pixels(9, 8, 3)), tfseg.predict(model, pixels(9, 8, 3)))


def test_more_than_256_classes_do_not_wrap():
    network = segmenter(300)
    kernel, bias = network.layers[-1].weights
    kernel.assign(np.zeros(kernel.shape))
    bias.assign(np.arange(300))
    classes = tfseg.predict(network, pixels(4, 4, 3))
    assert classes.dtype == np.int32
    assert (classes == 299).all()


# ------------------------------------------------------------------------------------------------------------- files


def test_a_path_is_its_pixels(model, tmp_path):
    Image.fromarray(pixels(20, 31, 3)).save(tmp_path / "image.png")
    for path in (tmp_path / "image.png", str(tmp_path / "image.png")):
        np.testing.assert_array_equal(tfseg.predict(model, path), tfseg.predict(model, pixels(20, 31, 3)))


# What each EXIF orientation asks the viewer to do with the stored pixels.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_a_camera_held_askew(model, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels(16, 24, 3)).save(tmp_path / "image.jpg", exif=exif)
    with Image.open(tmp_path / "image.jpg") as image:
        stored = np.asarray(image)
    classes = tfseg.predict(model, tmp_path / "image.jpg")
    np.testing.assert_array_equal(classes, tfseg.predict(model, TURNS[orientation](stored)))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK"])
def test_grey_palette_and_transparent_pictures(model, tmp_path, mode):
    picture = Image.fromarray(pixels(12, 17, 3)).convert(mode)
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    picture.save(path)
    wanted = tfseg.predict(model, np.asarray(picture.convert("RGB")))
    np.testing.assert_array_equal(tfseg.predict(model, path), wanted)
    np.testing.assert_array_equal(tfseg.predict(model, picture), wanted)


def test_sixteen_bits_are_scaled_not_clipped(model, tmp_path):
    grey = pixels(8, 9)
    deep = grey.astype("uint16") * 256 + 77
    for name, array in (("deep.png", deep), ("deep.tif", deep), ("big_endian.tif", deep.astype(">u2"))):
        Image.fromarray(array).save(tmp_path / name)
        wanted = tfseg.predict(model, np.repeat(grey[..., None], 3, axis=-1))
        np.testing.assert_array_equal(tfseg.predict(model, tmp_path / name), wanted)
    np.testing.assert_array_equal(tfseg.predict(model, Image.fromarray(deep)), wanted)


def test_sixteen_bits_of_each_colour_are_scaled(tmp_path):
    """A PNG by hand, as Pillow writes none: of each channel the upper byte counts."""
    deep = pixels(3, 5, 3).astype(">u2") * 257

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 3, 16, 2, 0, 0, 0))
    (tmp_path / "deep.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    np.testing.assert_array_equal(tfseg.read_image(tmp_path / "deep.png"), pixels(3, 5, 3))


@pytest.mark.parametrize(("dtype", "mode"), [("int32", "I"), ("float32", "F")])
def test_deeper_pixels_are_refused_not_clipped(model, tmp_path, dtype, mode):
    Image.fromarray(pixels(8, 8).astype(dtype)).save(tmp_path / "deep.tif")
    with pytest.raises(ValueError, match=rf"8 or 16 bits a channel: scale it. Received: .*deep.tif of mode {mode}"):
        tfseg.predict(model, tmp_path / "deep.tif")
    with pytest.raises(ValueError, match=rf"scale it. Received: a PIL image of mode {mode}"):
        tfseg.predict(model, Image.fromarray(pixels(8, 8).astype(dtype)))


def test_transparency_is_dropped_and_shows_the_colours_behind_it(tmp_path):
    colours = pixels(6, 7, 4)
    colours[..., 3] = 0
    Image.fromarray(colours, "RGBA").save(tmp_path / "glass.png")
    np.testing.assert_array_equal(tfseg.read_image(tmp_path / "glass.png"), colours[..., :3])


def test_more_pixels_than_allowed_are_not_decoded(tmp_path):
    bomb = tmp_path / "bomb.png"
    Image.new("1", (20_000, 10_000)).save(bomb)
    assert bomb.stat().st_size < 50_000
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ValueError, match=r"20000x10000 pixels is beyond max_pixels, 178956970: raise that .*bomb.png"):
        tfseg.read_image(bomb)
    with pytest.raises(ValueError, match=r"beyond max_pixels, 11"):
        tfseg.read_image(STREET, max_pixels=11)
    assert limit == Image.MAX_IMAGE_PIXELS


# ------------------------------------------------------------------------------------------------- what the model sees


@pytest.mark.parametrize("options", [{"window": (12, 10)}, {"flip": True}, {"window": (12, 10), "flip": True}], ids=str)
def test_views_of_a_model_that_sees_no_neighbours(options):
    """It finds the same in every way."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
    network = keras.Model(image, keras.layers.Conv2D(5, 1)(x))
    picture = pixels(2, 33, 41, 3)
    classes = tfseg.predict(network, picture, **options)
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes, tfseg.predict(network, picture))


def test_scales_are_averaged(model):
    x = keras.ops.convert_to_tensor(BY_HAND["caffe"](pixels(20, 30, 3).astype("float64")).astype("float32"))[None]
    small = keras.ops.image.resize(x, (10, 15))
    total = keras.ops.softmax(model(x)) + keras.ops.image.resize(keras.ops.softmax(model(small)), (20, 30))
    found = tfseg.predict(model, pixels(20, 30, 3), scales=(1.0, 0.5))
    np.testing.assert_array_equal(found, np.argmax(keras.ops.convert_to_numpy(total), axis=-1)[0])
    assert tfseg.predict(model, pixels(20, 30, 3), scales=(0.5,)).shape == (20, 30)


def test_a_window_as_large_as_the_image_sees_what_the_image_shows(model):
    picture = pixels(20, 30, 3)
    np.testing.assert_array_equal(tfseg.predict(model, picture, window=(64, 64)), tfseg.predict(model, picture))


@pytest.mark.parametrize(
    "options", [{"scales": ()}, {"window": (0, 4)}, {"overlap": 1}, {"window": (4, 4), "overlap": 2}], ids=str
)
def test_views_that_are_none(model, options):
    with pytest.raises(ValueError, match=r"Received: "):
        tfseg.predict(model, pixels(8, 8, 3), **options)


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (8, 8, 1), (2, 2, 8, 8, 3), (3,)])
def test_other_shapes_are_named(model, shape):
    with pytest.raises(ValueError, match=r"An image is \(height, width, 3\).*Received: shape \(" + str(shape)[1:-1]):
        tfseg.predict(model, pixels(*shape))


def test_a_model_must_say_its_preprocessing(unsaid):
    with pytest.raises(ValueError, match=r"'unsaid' does not say how its input is prepared: pass preprocessing="):
        tfseg.predict(unsaid, pixels(8, 8, 3))


@pytest.mark.parametrize(
    ("preprocessing", "message"),
    [
        ("tf", r"dictionary or one of torch, caffe, .* Received: 'tf'"),
        ({"channel_order": "RGB", "mean": [0, 0, 0]}, r"has channel_order \(RGB, BGR or BGRD\), divisor, mean and std"),
        (tfseg.specs.PREPROCESSING["torch"] | {"channel_order": "bgr"}, r"Received: .*'bgr'"),
    ],
)
def test_unknown_preprocessing(model, preprocessing, message):
    with pytest.raises(ValueError, match=message):
        tfseg.predict(model, pixels(8, 8, 3), preprocessing=preprocessing)


def test_a_classifier_is_no_segmenter():
    with pytest.raises(
        ValueError, match=r"logits \(batch, height, width, num_classes\). Received: 'vgg11', .* \(None, 7\)"
    ):
        tfseg.predict(tfseg.VGG(11, width=1 / 64, include_top=True, num_classes=7), pixels(32, 32, 3))


def test_a_model_of_depth_images():
    with pytest.raises(
        ValueError, match=r"turns images \(batch, height, width, 3\).*Received: .*\(None, None, None, 4\)"
    ):
        tfseg.predict(segmenter(channels=4), pixels(8, 8, 3))
