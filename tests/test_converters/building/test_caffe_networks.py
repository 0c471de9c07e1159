"""Public networks of Caffe, with few channels: from prototxt and weights to a model, exact, and usable as any other."""

import keras
import numpy as np
import pytest
from helpers import caffe_in_numpy, caffe_networks
from helpers.caffe_programs import Net
from helpers.references import images, relative
from helpers.run_command import run

import converters
import tfseg
from converters.building.caffe import opencv
from converters.building.caffe.build import FAMILY

# Network -> how it is made, and sizes beside its own at which it runs; none for networks of one size.
NETWORKS = {
    "FCN-AlexNet": (lambda: caffe_networks.fcn_alexnet((97, 113)), (65, 120)),
    "SegNet": (lambda: caffe_networks.segnet((45, 60)), None),
    "ENet": (lambda: caffe_networks.enet((64, 96)), (96, 80)),
    "ICNet": (lambda: caffe_networks.icnet((65, 97)), (97, 129)),
    "SENet-154": (lambda: caffe_networks.senet(), (77, 90)),
    "SENet, Scale": (lambda: caffe_networks.senet(axpy=False), (77, 90)),
    "NYUD, two streams": (lambda: caffe_networks.nyud_two_stream((65, 83)), (80, 70)),
    "GoogLeNet": (lambda: caffe_networks.googlenet(auxiliary=False), None),
    "SqueezeNet": (lambda: caffe_networks.squeezenet((65, 83)), (90, 77)),
    "PSPNet": (lambda: caffe_networks.pspnet(), None),
    "DeepLab-LargeFOV": (lambda: caffe_networks.deeplab_large_fov((65, 65)), (50, 71)),
    "MobileNet": (lambda: caffe_networks.mobilenet((64, 64)), (75, 90)),
    "ShuffleNet": (lambda: caffe_networks.shufflenet((64, 64)), (96, 72)),
    "DenseNet": (lambda: caffe_networks.densenet((64, 64)), (75, 90)),
    "SSD, heads": (lambda: caffe_networks.ssd_head((64, 64)), (75, 90)),
    "HED": (lambda: caffe_networks.hed((64, 64)), (75, 90)),
    "OpenPose": (lambda: caffe_networks.openpose((64, 64)), (75, 90)),
}
QUICK = ("SegNet",)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.full) for name in NETWORKS]
)
def test_public_networks_are_exact(tmp_path, name):
    make, other = NETWORKS[name]
    net = make()
    prototxt, weights = net.write(tmp_path)
    model, receipt = converters.convert(weights, prototxt=prototxt)
    assert receipt.family == FAMILY
    assert ("pixels only" in str(receipt)) == (other is None)
    stated = next(iter(net.inputs.values()))[1:]
    for size in filter(None, (stated, other)):
        assert caffe_in_numpy.difference(model, net, size) <= 1e-5
    if receipt.parity:
        assert receipt.parity["max relative difference"] <= 1e-5
    assert not [why for why in receipt.ignored.values() if why == "read by no step"]
    assert sum(layer.name.startswith("step_") for layer in model.layers) == 0


def classifier(net, top=True):
    x = net.relu(net.conv("data", 8, 3, stride=2, pad=1, name="conv1"))
    x = net.add("LRN", net.pool(x, 3, 2), local_size=3, alpha=0.3, name="norm1")
    x = net.relu(net.norm(net.conv(x, 12, 3, stride=2, bias=False, name="conv2")))
    x = net.conv(net.pool(x), 12, 3, name="conv3")
    if top:
        x = net.relu(net.dense(x, 16, 12 * 4 * 4, name="fc6"))
        net.dense(net.add("Dropout", x, tops=x), 5, 16, name="fc7")
    return net


def test_weights_alone_that_define_their_layers(tmp_path):
    """Most files define the network beside the weights: then no prototxt is needed, and any size of image is taken."""
    net = classifier(Net(data=(3, 64, 64)), top=False)
    _, weights = net.write(tmp_path, definitions=True, form="none")
    model, receipt = converters.convert(weights)
    assert "its layers are those that the file itself defines" in receipt.notes
    assert caffe_in_numpy.difference(model, net, (50, 61)) <= 1e-5


@pytest.mark.full
@pytest.mark.parametrize("definitions", [False, True])
def test_old_form_of_layers(tmp_path, definitions):
    net = Net(data=(3, 40, 40))
    x = net.relu(net.pool(net.add("LRN", net.conv("data", 6, 3, stride=2), local_size=3), 3, 2, pad=1))
    first, second = net.add("Split", x, tops=("left", "right"), channels=6)
    x = net.add("Eltwise", net.conv(first, 4), net.conv(second, 4), operation="PROD")
    net.add("Softmax", net.dense(net.add("Dropout", x, tops=x), 3, 484))
    prototxt, weights = net.write(tmp_path, version=1, definitions=definitions)
    model, _ = converters.convert(weights, **({} if definitions else {"prototxt": prototxt}))
    assert caffe_in_numpy.difference(model, net, (40, 40)) <= 1e-5


@pytest.mark.full
def test_heads_for_training_are_left_out(tmp_path):
    """Google's file has auxiliary heads that its deploy.prototxt lacks; nothing that predicts reads them."""
    trained = caffe_networks.googlenet()
    _, weights = trained.write(tmp_path, definitions=True, name="trained")
    net = caffe_networks.googlenet(auxiliary=False)
    (tmp_path / "deploy.prototxt").write_text(net.prototxt())
    blobs = {layer.name: layer.blobs for layer in trained.layers}
    for layer in net.layers:
        layer.blobs[:] = blobs.get(layer.name, layer.blobs)
    model, receipt = converters.convert(weights, prototxt=tmp_path / "deploy.prototxt")
    assert "only training needs it" in receipt.ignored["loss1/conv"]
    assert caffe_in_numpy.difference(model, net, (64, 64)) <= 1e-5


TRAINING = """
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN } }
layer { name: "data" type: "ImageData" top: "data" top: "label" include { phase: TEST }
        transform_param { mean_value: 104 mean_value: 117 mean_value: 123 scale: 0.017 crop_size: 40 } }
%s
layer { name: "aux" type: "Convolution" bottom: "data" top: "aux" include { phase: TRAIN }
        convolution_param { num_output: 2 kernel_size: 1 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "%s" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "%s" bottom: "label" top: "accuracy" }
"""


def test_prototxt_for_training_and_its_preprocessing(tmp_path):
    net = Net(data=(3, 40, 40))
    x = net.conv(net.relu(net.conv("data", 6)), 4, name="score")
    prototxt, weights = net.write(tmp_path)
    layers = "\n".join(line for line in net.prototxt().splitlines() if line.startswith("layer"))
    prototxt.write_text(TRAINING % (layers, x, x))
    model, receipt = converters.convert(weights, prototxt=prototxt)
    assert caffe_in_numpy.difference(model, net, (33, 46)) <= 1e-5
    assert receipt.preprocessing["mean"] == [104, 117, 123]
    assert receipt.preprocessing["std"][0] == pytest.approx(1 / 0.017, 1e-6)
    assert tfseg.metadata(model)["preprocessing"] == receipt.preprocessing
    assert "layers that only measure are left out: Accuracy, SoftmaxWithLoss" in receipt.notes


def test_a_prototxt_counts_before_the_names_of_layers(tmp_path):
    """The layers have the names of VGG-16, and the prototxt says another function than VGG-16's."""
    net = Net(data=(3, 32, 32))
    x = "data"
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        for index in range(1, count + 1):
            x = net.relu(net.conv(x, min(2**stage, 16), 3, name=f"conv{stage}_{index}"))
        x = net.pool(x, name=f"pool{stage}", pool="AVE")
    prototxt, weights = net.write(tmp_path)
    model, receipt = converters.convert(weights, prototxt=prototxt)
    assert receipt.family == FAMILY
    assert "the prototxt counts, and not the names of the layers" in str(receipt)
    assert caffe_in_numpy.difference(model, net, (64, 96)) <= 1e-5
    with pytest.raises(converters.ConversionError, match="does not describe the network"):
        converters.convert(weights, prototxt=prototxt, network="vgg16")


@pytest.mark.full
def test_weights_in_hdf5(tmp_path):
    """The file does not state the types of its layers: the prototxt does."""
    h5py = pytest.importorskip("h5py")
    net = Net(data=(3, 40, 40))
    x = net.norm(net.conv("data", 6, name="block/conv"), name="block/bn")
    x = net.add("PReLU", x, blobs=[net.numbers(6)])
    net.dense(net.add("Pooling", x, pool="AVE", global_pooling=True), 4, 6)
    prototxt, _ = net.write(tmp_path)
    with h5py.File(tmp_path / "net.caffemodel.h5", "w") as file:
        for layer in net.layers:
            for index, blob in enumerate(layer.blobs):
                file[f"data/{layer.name}/{index}"] = blob
    model, receipt = converters.convert(tmp_path / "net.caffemodel.h5", prototxt=prototxt)
    assert "nothing was compared" in str(receipt)
    assert caffe_in_numpy.difference(model, net, (33, 46)) <= 1e-5


def test_an_opencv_that_crashes_ends_no_conversion(tmp_path, monkeypatch):
    (tmp_path / "worker.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr("converters.building.caffe.opencv_worker.__file__", str(tmp_path / "worker.py"))
    net = classifier(Net(data=(3, 64, 64)), top=False)
    prototxt, weights = net.write(tmp_path)
    model, receipt = converters.convert(weights, prototxt=prototxt)
    assert "nothing was compared: OpenCV does not run it: its process ended" in receipt.notes
    assert caffe_in_numpy.difference(model, net, (50, 61)) <= 1e-5


def test_a_model_that_differs_from_opencv_is_refused(tmp_path, monkeypatch):
    net = classifier(Net(data=(3, 64, 64)), top=False)
    prototxt, weights = net.write(tmp_path)
    text = opencv.network_text
    monkeypatch.setattr(opencv, "network_text", lambda *given: text(*given).replace("local_size: 3", "local_size: 5"))
    with pytest.raises(
        converters.ConversionError, match=r"differs from net.caffemodel in OpenCV by .*Nothing is returned"
    ):
        converters.convert(weights, prototxt=prototxt)


def test_weights_can_be_written_back_and_models_saved(tmp_path):
    net = classifier(Net(data=(3, 64, 64)), top=False)
    prototxt, weights = net.write(tmp_path)
    model, _ = converters.convert(weights, prototxt=prototxt)
    converters.export_weights(model, tmp_path / "back.safetensors")
    back, source = converters.read(tmp_path / "back.safetensors"), converters.read(weights)
    assert set(back) == set(source)
    assert all(np.array_equal(back[key], source[key]) for key in source)


@pytest.mark.full
def test_surgery_on_a_classifier(tmp_path):
    """Its fully connected layers become convolutions; and a finer grid has the same values as before."""
    prototxt, weights = classifier(Net(data=(3, 64, 64))).write(tmp_path)
    model, receipt = converters.convert(weights, prototxt=prototxt)
    assert "64 x 64 pixels only" in str(receipt)
    sliding = tfseg.convolutionalize(model)
    pixels = images(64, 64)
    scores = np.asarray(sliding(pixels))
    assert relative(scores.reshape(1, -1), np.asarray(model(pixels))) <= 1e-5
    assert sliding(images(128, 160)).shape[1:3] == (5, 7)
    prototxt, weights = classifier(Net(data=(3, 64, 64)), top=False).write(tmp_path, name="trunk")
    trunk, _ = converters.convert(weights, prototxt=prototxt)
    dilated = tfseg.dilate(trunk, output_stride=4)
    assert tfseg.check_dilation(trunk, dilated, images(96, 128)).holds
    assert dilated(images(96, 128)).shape[1] > 3 * trunk(images(96, 128)).shape[1]


@pytest.mark.full
def test_the_command(tmp_path):
    net = caffe_networks.hed((64, 64))
    prototxt, weights = net.write(tmp_path)
    arguments = (f"--checkpoint={weights}", "--output=edges.keras", f"--prototxt={prototxt}", "--preprocessing=caffe")
    result = run("tfseg_cli.convert", *arguments, cwd=tmp_path)
    assert result.code == 0, result.err
    assert "Caffe network" in result.out
    model = keras.saving.load_model(tmp_path / "edges.keras")
    assert caffe_in_numpy.difference(model, net, (64, 64)) <= 1e-5
