"""Keras's files: every form that it ever wrote is read by the names of layers; damaged files are refused."""

import json
import mmap
import random
import re
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
from helpers.references import images, output, randomize
from keras import layers

import converters
import tfseg
from converters import ConversionError
from converters.conversion.save import save


def numbers(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.fixture(scope="module")
def model():
    """A model of many kinds of layers, one of them a model, trained for a step."""
    inside = keras.Input((None, None, 4))
    x = layers.Conv2D(3, 1, use_bias=False, name="inner_conv")(inside)
    inner = keras.Model(inside, layers.BatchNormalization(scale=False, name="inner_bn")(x), name="inner")
    x = image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(4, 3, name="c1")(x)
    x = layers.BatchNormalization(name="b1")(x)
    x = layers.DepthwiseConv2D(3, name="d1")(x)
    x = layers.SeparableConv2D(4, 3, use_bias=False, name="s1")(x)
    x = layers.PReLU(shared_axes=[1, 2], name="p1")(layers.Dropout(0.5, name="drop")(x))
    x = keras.ops.split(inner(x), 3, axis=-1)[0]
    x = layers.Conv2DTranspose(2, 2, name="t1")(x)
    x = layers.LayerNormalization(center=False, name="ln")(x)
    x = layers.Dense(2, name="fc")(layers.GlobalAveragePooling2D()(x))
    model = randomize(keras.Model(image, x))
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    model.train_on_batch(np.zeros((2, 16, 16, 3)), np.zeros((2, 2)))
    return model


def contents(model):
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}


def check(checkpoint, expected, format="Keras HDF5"):
    assert checkpoint.format == format
    assert set(checkpoint) == set(expected)
    for key, value in expected.items():
        assert (checkpoint.shapes[key], checkpoint.dtypes[key]) == (value.shape, value.dtype), key
        assert checkpoint[key].tobytes() == value.tobytes(), key
        assert not checkpoint[key].flags.writeable


def write(path, group="", listed=("c1",), **datasets):
    """An older file of one layer `c1`: `weight name -> array`, slashes written as `__`."""
    weights = {name.replace("__", "/"): value for name, value in datasets.items()}
    with h5py.File(path, "w") as file:
        root = file.require_group(group) if group else file
        root.attrs["layer_names"] = [name.encode() for name in listed]
        node = root.create_group("c1")
        node.attrs["weight_names"] = [name.encode() for name in weights]
        for name, value in weights.items():
            node[name] = value
    return path


def refused(path, message):
    with pytest.raises(ConversionError, match=message) as caught:
        converters.read(path)
    assert str(caught.value).startswith(str(path))


# ----------------------------------------------------------------------------------------------------------- the forms


def test_whole_model_h5_is_read(model, tmp_path):
    with warnings.catch_warnings(action="ignore"):
        model.save(tmp_path / "m.h5")
    checkpoint = converters.read(tmp_path / "m.h5")
    check(checkpoint, contents(model))
    assert checkpoint.extras == {"optimizer_weights": None, "keras_version": keras.__version__, "backend": "tensorflow"}


def test_description_names_variables(model, tmp_path):
    model.save(tmp_path / "m.keras")
    checkpoint = converters.read(tmp_path / "m.keras")
    check(checkpoint, contents(model), "Keras zip")
    assert checkpoint.extras == {"optimizer": None, "keras_version": keras.__version__}
    # Without a description, nothing tells a BatchNorm without gamma from one without beta.
    model.save_weights(tmp_path / "m.weights.h5")
    expected = contents(model)
    numbered = {"beta": "0", "moving_mean": "1", "moving_variance": "2"}
    expected |= {f"inner_bn/{number}": expected.pop(f"inner_bn/{name}") for name, number in numbered.items()}
    expected["ln/0"] = expected.pop("ln/gamma")
    check(converters.read(tmp_path / "m.weights.h5"), expected)


def strip_names(path, target):
    """A `.keras` as Keras wrote it before it noted the layers' names."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = target.with_suffix(".h5")
    weights.write_bytes(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        file.visititems(lambda _, node: node.attrs.pop("name", None) and None)
    members["model.weights.h5"] = weights.read_bytes()
    return zipped(target, members, zipfile.ZIP_DEFLATED)


def zipped(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_numbered_layers_get_names_by_counting_classes(model, tmp_path):
    model.save(tmp_path / "m.keras")
    path = strip_names(tmp_path / "m.keras", tmp_path / "bare.keras")
    check(converters.read(path), contents(model), "Keras zip")
    refused(path.with_suffix(".h5"), r"does not state the name of its layer '/layers/\w+', only its number")


@pytest.mark.parametrize("group", ["", "model_weights"])
def test_weight_names_of_every_keras_version(group, tmp_path):
    kernel, bias = numbers(3, 3, 2, 4), numbers(4, seed=1)
    for names in (
        ("c1__kernel:0", "c1__bias:0"),
        ("c1__kernel", "c1__bias"),
        ("model__c1__kernel:0", "model__c1__bias:0"),
        ("c1_3__kernel:0", "c1_3__bias:0"),  # built a second time
        ("c1_W", "c1_b"),
        ("c1_W:0", "c1_b:0"),
        ("c1_W_1:0", "c1_b_1:0"),
    ):
        path = write(tmp_path / "w.h5", group, **dict(zip(names, (kernel, bias), strict=True)))
        check(converters.read(path), {"c1/kernel": kernel, "c1/bias": bias})
    parts = {"gamma": "gamma", "beta": "beta", "running_mean": "moving_mean", "running_std": "moving_variance"}
    values = {old: numbers(4, seed=seed) for seed, old in enumerate(parts)}
    path = write(tmp_path / "w.h5", group, **{f"c1_{old}:0": value for old, value in values.items()})
    check(converters.read(path), {f"c1/{new}": values[old] for old, new in parts.items()})


def test_nested_model_keeps_names_apart(tmp_path):
    values = {f"{scope}__{layer}__kernel:0": numbers(2, 3, seed=seed)
              for seed, (scope, layer) in enumerate([("a", "fc1"), ("a", "fc2"), ("b", "fc2")])}  # fmt: skip
    checkpoint = converters.read(write(tmp_path / "w.h5", **values))
    assert list(checkpoint) == ["fc1/kernel", "c1/a/fc2/kernel", "c1/b/fc2/kernel"]


@pytest.mark.full
def test_split_lists_of_names_are_joined(tmp_path):
    path = write(tmp_path / "w.h5", **{"c1__kernel:0": numbers(2, 3)})
    with h5py.File(path, "r+") as file:
        del file.attrs["layer_names"]
        many = [f"layer_{number:030}".encode() for number in range(3000)]
        for piece, names in enumerate([many[:1500], many[1500:], [b"c1"]]):
            file.attrs[f"layer_names{piece}"] = names
        for name in many:
            file.create_group(name).attrs["weight_names"] = np.zeros(0)
    assert list(converters.read(path)) == ["c1/kernel"]


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4", "int32"])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"chunks": (2, 2)}])
def test_every_element_type_and_storage(dtype, options, tmp_path):
    value = (100 * numbers(5, 7)).astype(dtype)
    path = write(tmp_path / "w.h5", **{"c1__kernel:0": value})
    with h5py.File(path, "r+") as file:
        del file["c1/c1/kernel:0"]
        file["c1"].create_dataset("c1/kernel:0", data=value, **options)
    check(converters.read(path), {"c1/kernel": value.astype(value.dtype.newbyteorder("="))})


def test_bfloat16_is_read(tmp_path):
    image = keras.Input((3,))
    model = keras.Model(image, layers.Dense(2, dtype="bfloat16", name="fc")(image))
    model.save_weights(tmp_path / "m.weights.h5")
    check(converters.read(tmp_path / "m.weights.h5"), contents(model))


def test_tensors_are_views_of_the_file(tmp_path):
    path = write(tmp_path / "w.h5", **{"c1__kernel:0": numbers(20, 30)})
    array = converters.read(path)["c1/kernel"]
    assert not array.flags.owndata
    while isinstance(array.base, np.ndarray):
        array = array.base
    assert isinstance(array.base, mmap.mmap)


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_saved_tfseg_model_is_imported_by_paths(name, tmp_path):
    first = randomize(tfseg.VGG(11, batch_norm=True, width=1 / 16))
    save(first, tmp_path / name)
    second = keras.models.clone_model(first)
    receipt = converters.import_weights(second, tmp_path / name)
    assert receipt.family == "tfseg/paths"
    assert len(receipt.tensors) == len(first.weights)
    np.testing.assert_array_equal(output(second, images(65, 83)), output(first, images(65, 83)))


# ----------------------------------------------------------------------------------------------------------- bad input


def test_truncated_h5_is_refused(tmp_path):
    path = write(tmp_path / "w.h5", **{"c1__kernel:0": numbers(3, 3, 2, 4), "c1__bias:0": numbers(4)})
    data = path.read_bytes()
    for cut in range(8, len(data), 32):
        path.write_bytes(data[:cut])
        refused(path, "is an HDF5 file that cannot be opened|truncated")


def test_damaged_keras_archive_fails_its_checksum(tmp_path):
    """Every member's checksum is compared before the member is used. HDF5 itself has none."""
    image = keras.Input((3,))
    path = tmp_path / "m.keras"
    keras.Model(image, layers.Dense(2, name="fc")(image)).save(path)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("model.weights.h5").header_offset + 30 + len("model.weights.h5")
        end = start + archive.getinfo("model.weights.h5").file_size
    chance = random.Random(0)
    for _ in range(100):
        broken = bytearray(data)
        broken[chance.randrange(start, end)] ^= 1 << chance.randrange(8)
        path.write_bytes(broken)
        refused(path, "'model.weights.h5' fails its checksum")


def test_listed_weights_must_exist(tmp_path):
    refused(write(tmp_path / "a.h5", listed=("c1", "c2")), "lists the layer 'c2' and has no group of weights for it")
    path = write(tmp_path / "w.h5", **{"c1__kernel:0": numbers(2, 3)})
    with h5py.File(path, "r+") as file:
        file["c1"].attrs["weight_names"] = [b"c1/kernel:0", b"c1/bias:0"]
    refused(path, "lists the weight 'c1/bias:0' of the layer 'c1' and does not hold it")
    with h5py.File(path, "r+") as file:
        file["c1"].attrs["weight_names"] = [b"c1/kernel:0", b"/c1/kernel:0"]
    refused(path, "two weights of the name 'c1/c1/kernel'")
    with h5py.File(path, "r+") as file:
        file["c1"].attrs["weight_names"] = [b"c1/kernel:0", b"c1/kernel:0"]
    refused(path, "lists a weight of the layer 'c1' twice")
    with h5py.File(path, "r+") as file:
        file["c1"].attrs["weight_names"] = 7
    refused(path, "attribute weight_names of /c1 is not a list of names")


def test_links_out_of_the_file_are_refused(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["kernel:0"] = numbers(2, 3)
    path = tmp_path / "w.h5"

    def put(make):
        write(path, **{"c1__kernel:0": numbers(2, 3)})
        with h5py.File(path, "r+") as file:
            del file["c1/c1/kernel:0"]
            make(file["c1/c1"])
        return path

    def external(group):
        group["kernel:0"] = h5py.ExternalLink(str(secret), "/kernel:0")

    def soft(group):
        group["kernel:0"] = h5py.SoftLink("/c1")

    def elsewhere(group):
        group.create_dataset("kernel:0", (2, 3), "float32", external=[(str(secret), 0, 24)])

    def virtual(group):
        layout = h5py.VirtualLayout((2, 3), "float32")
        layout[...] = h5py.VirtualSource(str(secret), "kernel:0", (2, 3))
        group.create_virtual_dataset("kernel:0", layout)

    refused(put(external), r"/c1/c1/kernel:0 is a link to elsewhere \(ExternalLink\), which is not followed")
    refused(put(soft), r"/c1/c1/kernel:0 is a link to elsewhere \(SoftLink\)")
    refused(put(elsewhere), "keeps its numbers in other files, which are not followed")
    refused(put(virtual), "keeps its numbers in other files, which are not followed")
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink(str(secret), "/")
        file.create_group("vars")
    refused(path, r"/layers is a link to elsewhere \(ExternalLink\)")
    with h5py.File(path, "w") as file:  # a file of Caffe
        file["data/conv1/0"] = h5py.ExternalLink(str(secret), "/kernel:0")
    refused(path, r"/data/conv1/0 is a link to elsewhere \(ExternalLink\)")


def test_claimed_sizes_without_data_are_refused(tmp_path):
    path = tmp_path / "w.h5"
    for options in ({}, {"chunks": (1, 64), "compression": "gzip"}):
        write(path, **{"c1__kernel:0": numbers(2, 3)})
        with h5py.File(path, "r+") as file:
            del file["c1/c1/kernel:0"]
            file["c1/c1"].create_dataset("kernel:0", (1 << 20, 1 << 20), "float32", **options)
        refused(path, r"should hold 4398046511104 bytes. Received: 0 bytes in the file")


def test_texts_in_place_of_weights_are_refused(tmp_path):
    refused(
        write(tmp_path / "w.h5", **{"c1__kernel:0": np.array([b"a", b"bc"])}), "holds .S2, which is not an array of num"
    )


def test_endless_groups_are_refused(tmp_path):
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers")
        group["round"] = group
    refused(path, "holds groups within groups, more than 32 deep")


def test_archives_without_model_are_refused(model, tmp_path):
    path = tmp_path / "m.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for changed, message in (
        ({"model.weights.h5": None}, "is a .keras file without its weights, the member model.weights.h5"),
        ({"config.json": b"{"}, "its member config.json is not JSON"),
        ({"config.json": b"[1]"}, "its member config.json does not describe a model"),
        ({"model.weights.h5": b"\x89HDF\r\n\x1a\nno"}, "is an HDF5 file that cannot be opened"),
        ({"model.weights.h5": members["model.weights.h5"][:-9]}, "is an HDF5 file that cannot be opened"),
    ):
        kept = {name: content for name, content in (members | changed).items() if content is not None}
        refused(zipped(path, kept), re.escape(message))
    # The description is never built, whatever it holds, and the weights name themselves.
    odd = [{"class_name": "Lambda", "config": {"function": "import os"}}, 7, {"config": [1]}, {"class_name": 3}]
    described = json.dumps({"class_name": "Functional", "config": {"layers": odd}}).encode()
    checkpoint = converters.read(zipped(path, members | {"config.json": described}))
    assert set(checkpoint) >= {"c1/kernel", "b1/gamma", "inner_conv/kernel"}


def test_other_hdf5_files_are_refused(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["images"] = numbers(2, 3)
    refused(tmp_path / "data.h5", r"is an HDF5 file, and not one of Caffe's \(.caffemodel.h5\) or Keras's \(.h5\)")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.create_group("layers")
    refused(tmp_path / "empty.h5", "is a file from Keras that holds no weights")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    refused(tmp_path / "saved", "is a TensorFlow SavedModel, a program whose weights have lost the names")
