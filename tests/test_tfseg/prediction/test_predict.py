"""`tfseg.predict` is the argmax of the logits of the preprocessed image, in whatever form the image comes."""

import gc
import warnings
import weakref

import keras
import numpy as np
import pytest
from helpers.segmenters import narrow_fcn
from PIL import Image

import tfseg
from tfseg.left_out import LeftOutWarning

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
    """Three layers. The classes change from pixel to pixel and depend on each channel."""
    image = keras.Input((None, None, channels))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["caffe"])(image)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="tanh")(x)
    return keras.Model(image, keras.layers.Conv2D(num_classes, 1)(x), name="segmenter")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return segmenter()


@pytest.fixture(scope="module")
def unprepared():
    """A segmenter that does not say its preprocessing."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="tanh")(image)
    return keras.Model(image, keras.layers.Conv2D(5, 1)(x), name="unprepared")


def expected(model, image, preprocessing="caffe"):
    x = BY_HAND[preprocessing](image.astype("float64")).astype("float32")
    return np.argmax(keras.ops.convert_to_numpy(model(x if x.ndim == 4 else x[None])), -1).reshape(image.shape[:-1])


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1), (64, 31)])
def test_classes_are_the_argmax_at_the_size_of_the_image(model, size):
    image = pixels(*size, 3)
    classes = tfseg.predict(model, image)
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes, expected(model, image))


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("size", [(32, 64), (45, 71)])
def test_an_fcn_on_resnet_keeps_odd_and_even_sizes(size):
    keras.utils.set_random_seed(0)
    network = tfseg.FCN(tfseg.ResNet(18, width=1 / 8, output_stride=8), 5)
    image = pixels(*size, 3)
    classes = tfseg.predict(network, image)
    assert classes.shape == size
    # A compiled graph may round differently: this changes the few pixels where two classes have nearly equal logits.
    assert np.mean(classes == expected(network, image, "torch")) > 0.995


@pytest.mark.parametrize("size", [(32, 64), (45, 71)])
def test_an_fcn_on_vgg_keeps_odd_and_even_sizes(size):
    network = narrow_fcn()
    classes = tfseg.predict(network, pixels(*size, 3))
    assert classes.shape == size
    np.testing.assert_array_equal(classes, expected(network, pixels(*size, 3), "fcn"))


def test_a_batch_is_predicted_like_its_images(model):
    batch = pixels(3, 21, 20, 3)
    classes = tfseg.predict(model, batch)
    assert classes.shape == (3, 21, 20)
    np.testing.assert_array_equal(classes, [tfseg.predict(model, image) for image in batch])


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_preprocessing_is_a_name_or_a_dictionary(unprepared, name):
    image = pixels(20, 30, 3)
    assert len({expected(unprepared, image, other).tobytes() for other in ("torch", "caffe")}) == 2
    for preprocessing in (name, tfseg.specs.PREPROCESSING[name]):
        classes = tfseg.predict(unprepared, image, preprocessing=preprocessing)
        np.testing.assert_array_equal(classes, expected(unprepared, image, name))


def test_the_argument_overrides_the_preprocessing_of_the_model(model):
    image = pixels(20, 30, 3)
    np.testing.assert_array_equal(tfseg.predict(model, image, preprocessing="torch"), expected(model, image, "torch"))


def test_the_model_is_compiled_once_for_all_sizes(monkeypatch):
    network, calls = segmenter(), []
    original = type(network).call
    monkeypatch.setattr(type(network), "call", lambda self, *args, **kw: calls.append(1) or original(self, *args, **kw))
    for size in ((8, 8), (9, 7), (8, 8)):
        tfseg.predict(network, pixels(*size, 3))
    assert len(calls) == (1 if keras.backend.backend() == "tensorflow" else 3)


def test_new_weights_are_used():
    network, image = segmenter(), pixels(8, 8, 3)
    tfseg.predict(network, image)
    kernel, bias = network.layers[-1].weights
    kernel.assign(np.zeros(kernel.shape))
    bias.assign([0, 0, 0, 1, 0])
    assert (tfseg.predict(network, image) == 3).all()


def test_a_model_is_freed_when_nothing_else_holds_it():
    network = segmenter()
    tfseg.predict(network, pixels(8, 8, 3))
    reference = weakref.ref(network)
    del network
    gc.collect()
    assert reference() is None


def test_the_first_of_several_outputs_is_used(model):
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


# -------------------------------------------------------------------------------------------- files and Pillow images


def test_a_path_is_read(model, tmp_path):
    Image.fromarray(pixels(20, 31, 3)).save(tmp_path / "image.png")
    for path in (tmp_path / "image.png", str(tmp_path / "image.png")):
        np.testing.assert_array_equal(tfseg.predict(model, path), tfseg.predict(model, pixels(20, 31, 3)))


def test_what_is_not_read_of_a_tiff_is_said(model, tmp_path):
    pages = [Image.fromarray(pixels(20, 31, 3, seed=seed)) for seed in (0, 1)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    Image.fromarray(pixels(20, 31, 4)).save(tmp_path / "bands.tif")
    Image.fromarray(pixels(20, 31, 4)).save(tmp_path / "transparent.png")
    for name, message in (("pages", "several pages, of which the first"), ("bands", "a fourth channel, which is left")):
        with pytest.warns(LeftOutWarning, match=f"{name}.tif: .*{message}"):
            tfseg.predict(model, tmp_path / f"{name}.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("error", LeftOutWarning)
        tfseg.predict(model, tmp_path / "transparent.png")


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK"])
def test_a_pillow_image_is_converted_to_rgb(model, mode):
    image = Image.fromarray(pixels(12, 17, 3)).convert(mode)
    np.testing.assert_array_equal(tfseg.predict(model, image), tfseg.predict(model, np.asarray(image.convert("RGB"))))


def test_sixteen_bits_of_a_pillow_image_are_scaled(model):
    gray = pixels(8, 9)
    expected_classes = tfseg.predict(model, np.repeat(gray[..., None], 3, axis=-1))
    deep = Image.fromarray(gray.astype("uint16") * 256 + 77)
    np.testing.assert_array_equal(tfseg.predict(model, deep), expected_classes)


@pytest.mark.parametrize(("dtype", "mode"), [("int32", "I"), ("float32", "F")])
def test_a_pillow_image_of_32_bits_is_refused(model, dtype, mode):
    with pytest.raises(ValueError, match=rf"scale it.*Received: a Pillow image of mode {mode}"):
        tfseg.predict(model, Image.fromarray(pixels(8, 8).astype(dtype)))


# ------------------------------------------------------------------------------------------------- what the model sees


@pytest.mark.parametrize("options", [{"window": (12, 10)}, {"flip": True}, {"window": (12, 10), "flip": True}], ids=str)
def test_all_views_of_single_pixels_are_the_same(options):
    """The network sees each pixel alone, so windows and mirror images change nothing."""
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
    classes = tfseg.predict(model, pixels(20, 30, 3), scales=(1.0, 0.5))
    np.testing.assert_array_equal(classes, np.argmax(keras.ops.convert_to_numpy(total), axis=-1)[0])
    assert tfseg.predict(model, pixels(20, 30, 3), scales=(0.5,)).shape == (20, 30)


def test_a_window_larger_than_the_image_changes_nothing(model):
    picture = pixels(20, 30, 3)
    np.testing.assert_array_equal(tfseg.predict(model, picture, window=(64, 64)), tfseg.predict(model, picture))


@pytest.mark.parametrize(
    "options", [{"scales": ()}, {"window": (0, 4)}, {"overlap": 1}, {"window": (4, 4), "overlap": 2}], ids=str
)
def test_invalid_views_are_refused(model, options):
    with pytest.raises(ValueError, match=r"Received: "):
        tfseg.predict(model, pixels(8, 8, 3), **options)


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (8, 8, 1), (2, 2, 8, 8, 3), (3,)])
def test_arrays_of_other_shapes_are_refused(model, shape):
    with pytest.raises(ValueError, match=r"An image is \(height, width, 3\).*Received: shape \(" + str(shape)[1:-1]):
        tfseg.predict(model, pixels(*shape))


def test_a_model_without_preprocessing_needs_the_argument(unprepared):
    with pytest.raises(ValueError, match=r"'unprepared' does not say how its input is prepared: pass preprocessing="):
        tfseg.predict(unprepared, pixels(8, 8, 3))


@pytest.mark.parametrize(
    ("preprocessing", "message"),
    [
        ("tf", r"dictionary or one of torch, caffe, .* Received: 'tf'"),
        ({"channel_order": "RGB", "mean": [0, 0, 0]}, r"has channel_order \(RGB, BGR or BGRD\), divisor, mean and std"),
        (tfseg.specs.PREPROCESSING["torch"] | {"channel_order": "bgr"}, r"Received: .*'bgr'"),
    ],
)
def test_unknown_preprocessing_is_refused(model, preprocessing, message):
    with pytest.raises(ValueError, match=message):
        tfseg.predict(model, pixels(8, 8, 3), preprocessing=preprocessing)


def test_a_classifier_is_refused():
    with pytest.raises(
        ValueError, match=r"logits \(batch, height, width, num_classes\). Received: 'vgg11', .* \(None, 7\)"
    ):
        tfseg.predict(tfseg.VGG(11, width=1 / 64, include_top=True, num_classes=7), pixels(32, 32, 3))


def test_a_model_of_four_channels_is_refused():
    with pytest.raises(ValueError, match=r"takes 4 channels, and its preprocessing is for 3.*inspection.preprocessing"):
        tfseg.predict(segmenter(channels=4), pixels(8, 8, 3))


# ------------------------------------------------------------------------------------------------------ probabilities


def softmax(logits):
    exponents = np.exp(np.asarray(logits, "float64") - np.max(logits, axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def test_probabilities_are_the_softmax_of_the_logits(model):
    batch = pixels(2, 20, 30, 3)
    prepared = BY_HAND["caffe"](batch.astype("float64")).astype("float32")
    wanted = softmax(keras.ops.convert_to_numpy(model(prepared)))
    result = tfseg.predict(model, batch, return_probabilities=True)
    assert (result.dtype, result.shape) == (np.float32, (2, 20, 30, 5))
    np.testing.assert_allclose(result, wanted, atol=1e-5)
    np.testing.assert_allclose(tfseg.predict(model, batch[1], return_probabilities=True), wanted[1], atol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"window": (12, 10)}, {"flip": True}, {"scales": (0.5, 1), "window": (12, 10)}], ids=str
)
def test_classes_are_the_most_probable_ones_unless_they_are_void(model, options):
    image = pixels(20, 30, 3)
    probabilities = tfseg.predict(model, image, return_probabilities=True, **options)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(tfseg.predict(model, image, **options), probabilities.argmax(-1))
    threshold = float(np.median(probabilities.max(-1)))
    classes = tfseg.predict(model, image, threshold=threshold, **options)
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(
        classes, np.where(probabilities.max(-1) < np.float32(threshold), 255, probabilities.argmax(-1))
    )
    assert 0.3 < np.mean(classes == 255) < 0.7


def test_void_is_no_class_of_many():
    network = segmenter(256)
    kernel, bias = network.layers[-1].weights
    kernel.assign(np.zeros(kernel.shape))
    bias.assign(np.where(np.arange(256) == 255, 9, 0))
    assert (tfseg.predict(network, pixels(4, 4, 3), threshold=0.5) == 255).all()
    bias.assign(np.zeros(256))
    assert (tfseg.predict(network, pixels(4, 4, 3), threshold=0.5) == 65535).all()


@pytest.mark.parametrize("resized", ["", "as it is", "like the image"])
@pytest.mark.parametrize("options", [{}, {"flip": True}], ids=str)
def test_a_softmax_in_the_model_is_not_repeated(options, resized):
    keras.utils.set_random_seed(0)
    plain = segmenter()
    output = keras.layers.Softmax()(plain.output)
    if resized == "as it is":
        output = keras.layers.Activation("linear", dtype="float32")(output)
    elif resized:
        output = tfseg.layers.ResizeLike()([output, plain.input])
    ended = keras.Model(plain.input, output)
    image = pixels(9, 11, 3)
    results = [tfseg.predict(network, image, return_probabilities=True, **options) for network in (plain, ended)]
    np.testing.assert_allclose(*results, atol=1e-5)


def test_probabilities_of_classes_that_do_not_exclude_each_other_are_refused():
    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.Conv2D(3, 1, activation="sigmoid")(image))
    for options in ({"return_probabilities": True}, {"threshold": 0.5}):
        with pytest.raises(ValueError, match=r"one of several classes for each pixel.*whose 3 maps pass a sigmoid"):
            tfseg.predict(network, pixels(4, 4, 3), preprocessing="torch", **options)


def test_one_score_for_each_pixel_is_refused_with_a_way_to_two():
    """The largest of one number says nothing: every pixel would be of the first class."""
    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.Conv2D(1, 1)(image))
    for options in ({}, {"return_probabilities": True}, {"threshold": 0.5}, {"flip": True}):
        with pytest.raises(
            ValueError, match=r"one score for each pixel.*keras.ops.concatenate\(\[keras.ops.zeros_like"
        ):
            tfseg.predict(network, pixels(4, 4, 3), preprocessing="torch", **options)
    y = network.output
    both = keras.Model(image, keras.ops.concatenate([keras.ops.zeros_like(y), y], axis=-1))
    logits = network(tfseg.preprocess(pixels(4, 4, 3), "torch")[None])[0, ..., 0]
    classes = tfseg.predict(both, pixels(4, 4, 3), preprocessing="torch")
    np.testing.assert_array_equal(classes, np.asarray(logits) > 0)


@pytest.mark.parametrize("threshold", [-0.1, 1, 50])
def test_a_threshold_is_a_probability(model, threshold):
    with pytest.raises(ValueError, match=r"threshold is a probability, at least 0 and below 1. Received: "):
        tfseg.predict(model, pixels(4, 4, 3), threshold=threshold)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (pixels(8, 8, 3) / 255, r"seems to have 0 to 1: multiply it by 255.*Received: float64 from 0"),
        (pixels(8, 8, 3) / 127.5 - 1, r"before preprocessing. If it is prepared.*from -1 to 0.9"),
        (pixels(8, 8, 3).astype("uint16") * 257, r"If this one has 16 bits: divide it by 256.*uint16"),
        (np.full((8, 8, 3), np.nan), "finite values"),
        (np.zeros((0, 8, 8, 3), "uint8"), r"a batch has images. Received: an array of shape \(0, 8, 8, 3\)"),
    ],
)
def test_arrays_that_are_no_photographs_are_refused(model, array, message):
    with pytest.raises(ValueError, match=message):
        tfseg.predict(model, array)


def test_prepared_arrays_are_predicted_where_one_says_so(model):
    image = pixels(8, 8, 3)
    nothing = {"channel_order": "RGB", "divisor": 1, "mean": (0, 0, 0), "std": (1, 1, 1)}
    prepared = tfseg.preprocess(image, "caffe")
    np.testing.assert_array_equal(tfseg.predict(model, prepared, preprocessing=nothing), tfseg.predict(model, image))
