"""What tfseg-convert writes: whole or not at all, and what was there stays until the new is whole."""

import h5py
import keras
import numpy as np
import pytest
from helpers import checkpoints, run_command
from helpers.references import images, output

import converters
from converters import ConversionError, memory
from converters.saving import check_output, save


@pytest.fixture(scope="module")
def model():
    state = checkpoints.state("torchvision/segmentation", "fcn_resnet18", num_classes=7, width=1 / 8, aux=True)
    return converters.convert(state)[0]


@pytest.fixture(scope="module")
def small():
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Conv2D(8, 3, name="conv")(image))


def test_every_form_comes_back(tmp_path, model, small):
    wanted = output(model, images(65, 83))
    save(model, tmp_path / "m.keras")
    np.testing.assert_array_equal(output(keras.saving.load_model(tmp_path / "m.keras"), images(65, 83)), wanted)
    for name, load in (
        ("m.weights.h5", lambda fresh, path: fresh.load_weights(path)),
        ("m.safetensors", converters.import_weights),
    ):
        save(model, tmp_path / name)
        fresh = keras.models.clone_model(model)
        load(fresh, tmp_path / name)
        np.testing.assert_array_equal(output(fresh, images(65, 83)), wanted)
    save(small, tmp_path / "directory")
    assert (tmp_path / "directory" / "saved_model.pb").is_file()


def test_weights_are_saved_as_keras_saves_them(tmp_path, model):
    model.save_weights(tmp_path / "keras.weights.h5")
    save(model, tmp_path / "ours.weights.h5")

    def content(path):
        found = {}
        with h5py.File(path) as file:
            file.visititems(
                lambda name, node: found.update(
                    {name: (dict(node.attrs), node[()] if hasattr(node, "shape") else None)}
                )
            )
        return found

    ours, theirs = content(tmp_path / "ours.weights.h5"), content(tmp_path / "keras.weights.h5")
    assert ours.keys() == theirs.keys()
    for name, (attributes, value) in theirs.items():
        assert ours[name][0] == attributes
        np.testing.assert_array_equal(ours[name][1], value)
    assert all("save_own_variables" not in vars(layer) for layer in model.layers)


def test_refusals_come_before_the_work(tmp_path, model):
    for name, message in (
        ("m.h5", r"the output is .keras .*Received: suffix '.h5'"),
        ("m.onnx", r"the output is .keras"),
        ("absent/m.keras", r"its directory .*absent does not exist"),
    ):
        with pytest.raises(ConversionError, match=message):
            check_output(tmp_path / name)
    (tmp_path / "old.keras").write_text("old")
    with pytest.raises(ConversionError, match=r"exists already.*--overwrite"):
        save(model, tmp_path / "old.keras")
    assert (tmp_path / "old.keras").read_text() == "old"
    save(model, tmp_path / "old.keras", overwrite=True)
    assert (tmp_path / "old.keras").stat().st_size > 1000


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.safetensors", "directory"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_save_that_breaks_leaves_the_old_file(tmp_path, small, monkeypatch, name, failure):
    target = tmp_path / name
    target.mkdir() if name == "directory" else None
    (target / "saved_model.pb" if name == "directory" else target).write_text("old")

    def breaks(*_, **__):
        raise failure

    # The last thing that each form does before its file is whole.
    monkeypatch.setattr("tfseg.writing.os.replace", breaks)
    stopped = isinstance(failure, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt if stopped else ConversionError, match=None if stopped else "No space left"):
        save(small, target, overwrite=True)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (target / "saved_model.pb" if name == "directory" else target).read_text() == "old"


def test_a_full_disk_in_the_middle(tmp_path):
    """The operating system's own refusal, in a process that may write files of 100 kB only."""
    script = (
        "import resource, signal, sys\n"
        "import converters, keras\n"
        "from converters.saving import save\n"
        "image = keras.Input((None, None, 3))\n"
        "model = keras.Model(image, keras.layers.Conv2D(200, 9)(image))\n"  # 200 kB
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "for name in sys.argv[2:]:\n"
        "    try:\n"
        "        save(model, f'{sys.argv[1]}/{name}')\n"
        "    except converters.ConversionError as error:\n"
        "        print(name, 'refused:', error, flush=True)\n"
    )
    names = ["m.safetensors", "directory", "m.keras", "m.weights.h5"]  # last what HDF5 cannot even close
    ended = run_command.forked(script, tmp_path, *names)
    assert [line.split(" refused:")[0] for line in ended.out.splitlines() if " refused:" in line] == names, ended.err
    assert list(tmp_path.iterdir()) == []


def test_memory_is_shared_only_where_it_is_safe():
    variable = keras.Variable(np.zeros((300, 3), "float32"))
    array = memory.empty((300, 3), "float32")
    array[...] = 2
    memory.assign(variable, array)
    np.testing.assert_array_equal(variable, array)
    view = memory.view(variable)
    np.testing.assert_array_equal(view, array)
    for misaligned in (np.arange(901, dtype="float32")[1:].reshape(300, 3), np.broadcast_to(np.float32(3), (300, 3))):
        memory.assign(variable, misaligned)  # copied: TensorFlow would abort on its address
        np.testing.assert_array_equal(variable, misaligned)
    variable.assign_add(np.ones((300, 3), "float32"))
    assert float(variable[0, 0]) == 4
