"""What `tfseg convert` writes: a whole file or none; an old file stays until the new one is whole."""

import h5py
import keras
import numpy as np
import pytest
from helpers import checkpoints, run_command
from helpers.references import images, output

import converters
import tfseg
from converters import ConversionError
from converters.conversion.save import check_output, save


@pytest.fixture(scope="module")
def model():
    state = checkpoints.state("torchvision/segmentation", "fcn_resnet18", num_classes=7, width=1 / 8, aux=True)
    return converters.convert(state)[0]


@pytest.fixture(scope="module")
def small():
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
    return keras.Model(image, keras.layers.Conv2D(8, 3, padding="same", name="conv")(x))


@pytest.mark.full
def test_every_format_can_be_loaded(tmp_path, model, small):
    expected = output(model, images(65, 83))
    save(model, tmp_path / "m.keras")
    np.testing.assert_array_equal(output(keras.saving.load_model(tmp_path / "m.keras"), images(65, 83)), expected)
    for name, load in (
        ("m.weights.h5", lambda fresh, path: fresh.load_weights(path)),
        ("m.safetensors", converters.import_weights),
    ):
        save(model, tmp_path / name)
        fresh = keras.models.clone_model(model)
        load(fresh, tmp_path / name)
        np.testing.assert_array_equal(output(fresh, images(65, 83)), expected)
    save(small, tmp_path / "directory")
    x = images(65, 83)
    np.testing.assert_allclose(output(tfseg.load(tmp_path / "directory"), x), output(small, x), rtol=1e-4, atol=1e-5)


def test_weights_h5_is_the_file_that_keras_writes(tmp_path, model):
    model.save_weights(tmp_path / "keras.weights.h5")
    save(model, tmp_path / "ours.weights.h5")

    def content(path):
        nodes = {}
        with h5py.File(path) as file:
            file.visititems(
                lambda name, node: nodes.update(
                    {name: (dict(node.attrs), node[()] if hasattr(node, "shape") else None)}
                )
            )
        return nodes

    ours, expected = content(tmp_path / "ours.weights.h5"), content(tmp_path / "keras.weights.h5")
    assert ours.keys() == expected.keys()
    for name, (attributes, value) in expected.items():
        assert ours[name][0] == attributes
        np.testing.assert_array_equal(ours[name][1], value)
    assert all("save_own_variables" not in vars(layer) for layer in model.layers)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("m.h5", r"the output is .keras .*Received: suffix '.h5'"),
        ("m.onnx", r"the output is .keras"),
        ("absent/m.keras", r"its directory .*absent does not exist"),
    ],
)
def test_check_output_refuses(tmp_path, name, message):
    with pytest.raises(ConversionError, match=message):
        check_output(tmp_path / name)


def test_a_classifier_is_not_exported(tmp_path):
    classifier, _ = converters.convert(checkpoints.state("torchvision/resnet", "resnet18", width=1 / 16))
    with pytest.raises(ConversionError, match=r"cannot be exported as a SavedModel.*A .keras file takes any network"):
        save(classifier, tmp_path / "directory")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_replaced_only_on_request(tmp_path, small):
    (tmp_path / "old.keras").write_text("old")
    with pytest.raises(ConversionError, match=r"exists already.*--overwrite"):
        save(small, tmp_path / "old.keras")
    assert (tmp_path / "old.keras").read_text() == "old"
    save(small, tmp_path / "old.keras", overwrite=True)
    assert (tmp_path / "old.keras").stat().st_size > 1000


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.safetensors", "directory"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file(tmp_path, small, monkeypatch, name, failure):
    target = tmp_path / name
    target.mkdir() if name == "directory" else None
    (target / "saved_model.pb" if name == "directory" else target).write_text("old")

    def fail(*_, **__):
        raise failure

    # The last step of each format before its file is whole.
    monkeypatch.setattr("tfseg.writing.os.replace", fail)
    stopped = isinstance(failure, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt if stopped else ConversionError, match=None if stopped else "No space left"):
        save(small, target, overwrite=True)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (target / "saved_model.pb" if name == "directory" else target).read_text() == "old"


def test_a_full_disk_leaves_no_file(tmp_path):
    """The operating system's own error, in a process that may write files of at most 100 kB."""
    script = (
        "import resource, signal, sys\n"
        "import converters, keras\n"
        "from converters.conversion.save import save\n"
        "import tfseg\n"
        "image = keras.Input((None, None, 3))\n"
        "x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING['torch'])(image)\n"
        "model = keras.Model(image, keras.layers.Conv2D(200, 9, padding='same')(x))\n"  # 200 kB
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "for name in sys.argv[2:]:\n"
        "    try:\n"
        "        save(model, f'{sys.argv[1]}/{name}')\n"
        "    except converters.ConversionError as error:\n"
        "        print(name, 'refused:', error, flush=True)\n"
    )
    names = ["m.safetensors", "directory", "m.keras", "m.weights.h5"]  # the last one HDF5 cannot even close
    ended = run_command.forked(script, tmp_path, *names)
    assert [line.split(" refused:")[0] for line in ended.out.splitlines() if " refused:" in line] == names, ended.err
    assert list(tmp_path.iterdir()) == []
