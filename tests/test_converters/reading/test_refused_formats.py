"""Files of other programs: the message names the format, and the way out."""

import gzip
import io
import pickle
import re
import subprocess
import sys
import tarfile
import time
import zipfile

import numpy as np
import pytest
import torch

import converters
from converters.errors import ConversionError
from converters.reading import strangers


def refusal(path):
    with pytest.raises(ConversionError) as caught:
        converters.read(path)
    return str(caught.value)


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"{}")
    return file.getvalue()


def tarred(*names):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return file.getvalue()


def field(number, content):
    """A field of a protocol buffer, with its length in as many bytes as it needs."""
    size, length = len(content), b""
    while size >= 0x80:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


CORE_ML = b"\x08\x04" + field(2, field(1, field(1, b"image") + field(3, b"\x2a\x06")) + field(10, b"scores"))
PADDLE = {"conv1.weight": np.ones((2, 3, 3, 3), "f4"), "StructuredToParameterName@@": {"conv1.weight": "conv2d_0.w_0"}}
NODE = field(1, b"conv/weights") + field(2, b"Const") + field(5, field(1, b"value") + field(2, b"1" * 300))
META_GRAPH = field(2, field(1, field(1, b"AddV2"))) + field(4, b"serve") + b" " * 200
FLAX = b"\x81\xa6params\x81\xa5Conv0\x81\xa6kernel\xc7\x10\x01\x93\x91\x02\xa7float32\xc4\x04" + b"\0" * 4
CONTENTS = {
    "pt2-of-torch-2.1": (
        lambda: zipped("serialized_exported_program.json", "serialized_state_dict.pt", "version"),
        r"torch.export \(.pt2\).*torch.export.load.*program.state_dict",
    ),
    "aotinductor": (lambda: zipped("x/data/aotinductor/model/a.so", "x/archive_format"), "AOTInductor"),
    "torch.package": (lambda: zipped("x/.data/extern_modules", "x/model/model.pkl"), "torch.package.PackageImporter"),
    "torchscript-of-2019": (lambda: zipped("x/code/net.py", "x/model.json", "x/tensors/0"), "TorchScript.*jit.load"),
    "torchserve": (lambda: zipped("MAR-INF/MANIFEST.json", "net.pth"), r"TorchServe.*Unpack it"),
    "frozen-graph": (lambda: field(1, NODE), "frozen TensorFlow graph.*model.ckpt"),
    "saved_model.pb": (lambda: b"\x08\x01" + field(2, field(1, META_GRAPH)), "SavedModel.*model.save"),
    "tflite": (lambda: b"\x1c\0\0\0TFL3\x14\0\x20\0", "TensorFlow Lite.*checkpoint or the .onnx file"),
    "executorch": (lambda: b"\x30\0\0\0ET12\x14\0\x20\0", "ExecuTorch"),
    "ort": (lambda: b"\x18\0\0\0ORTM\0\0\0\0", "ONNX Runtime's own format.*the .onnx file"),
    "matlab-5": (lambda: b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(128) + b"\0\1IM", "MatConvNet.*loadmat"),
    "matlab-7.3": (lambda: b"MATLAB 7.3 MAT-file, Platform".ljust(512) + b"\x89HDF\r\n\x1a\n", "MatConvNet.*loadmat"),
    "paddle": (lambda: pickle.dumps(PADDLE, 2), r"Paddle.*paddle2onnx.*paddle.load\(path, return_numpy=True\)"),
    "pdiparams": (lambda: b"\0" * 16 + b"\x0a\0\0\0\x08\x05\x10\x40", "Paddle"),
    "mlmodel": (lambda: CORE_ML, "Core ML"),
    "tensorrt": (lambda: b"ftrt\0\0\0\0\x01\0\0\0", "TensorRT"),
    "openvino": (lambda: b'<?xml version="1.0"?>\n<net name="x" version="11">\n\t<layers>', "OpenVINO"),
    "ncnn": (lambda: b"7767517\n75 83\nInput data 0 1 data", "ncnn"),
    "darknet": (lambda: b"\0\0\0\0\2\0\0\0\5\0\0\0" + b"\0\x7d\1\0\0\0\0\0" + b"\x3f" * 64, "Darknet"),
    "darknet-cfg": (lambda: b"[net]\nbatch=64\n", "Darknet .cfg"),
    "mxnet": (lambda: b"\x12\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0", "MXNet.*mxnet.nd.load"),
    "gguf": (lambda: b"GGUF\3\0\0\0", "GGUF"),
    "flax": (lambda: FLAX, "Flax.*from_flax=True.*msgpack_restore"),
    "tar": (lambda: tarred("model.pth"), "tar archive, which begins with 'model.pth'.*tar xf"),
    "tar-of-pytorch-2016": (lambda: tarred("sys_info", "pickle", "storages"), "'sys_info'.*PyTorch of 2016"),
    "tar.gz": (lambda: gzip.compress(tarred("model.pth")), r"gzip. Unpack it \(tar xzf\)"),
    "gz": (lambda: gzip.compress(b"weights"), r"gzip. Unpack it \(gunzip\)"),
    "broken-gz": (lambda: b"\x1f\x8bbroken", "gzip"),
    "lfs": (lambda: b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "html": (lambda: b"<!DOCTYPE html><html>", "web page"),
}


@pytest.mark.parametrize(("make", "message"), CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("suffix", [".pth.tar", ".bin", ".h5"])
def test_format_is_named_whatever_the_suffix(tmp_path, make, message, suffix):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(make())
    began = time.process_time()
    message_given = refusal(path)
    assert time.process_time() - began < 0.2
    assert re.search(f"(?s)net{suffix}: .*{message}", message_given), message_given


@pytest.mark.parametrize(
    ("files", "given", "message"),
    [
        (("model.engine",), "model.engine", "TensorRT"),
        (("net.xml", "net.bin"), "net.bin", "OpenVINO"),
        (("net.param", "net.bin"), "net.bin", "ncnn"),
        (("net.ncnn.bin",), "net.ncnn.bin", "ncnn"),
        (("net.pdparams",), "net.pdparams", "Paddle"),
        (("x.mlpackage/Manifest.json",), "x.mlpackage", "Core ML"),
        (("sm/saved_model.pb",), "sm", "SavedModel.*model.save"),
        (("dcp/__0_0.distcp", "dcp/.metadata"), "dcp", "dcp_to_torch_save"),
        (("net/data.pkl", "net/data/0"), "net", "unpacked PyTorch file.*zip -0 -r"),
        (("orbax/manifest.ocdbt",), "orbax", "Orbax"),
    ],
)
def test_names_tell_where_the_content_does_not(tmp_path, files, given, message):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\xcd\x21\xcd\x21" * 100)
    assert re.search(message, refusal(tmp_path / given))


@pytest.mark.full
def test_program_of_torch_export_is_named_and_its_way_out_works(tmp_path):
    program = """
import sys, torch
net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).eval()
torch.export.save(torch.export.export(net, (torch.zeros(1, 3, 8, 8),)), sys.argv[1])
torch.save(dict(torch.export.load(sys.argv[1]).state_dict), sys.argv[2])
"""
    paths = tmp_path / "net.pt2", tmp_path / "net.pth"
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, *paths], check=True)
    assert "torch.save(dict(program.state_dict), 'name.pth')" in refusal(paths[0])
    saved = converters.read(paths[1])
    assert saved["0.weight"].shape == (4, 3, 3, 3)
    assert saved["1.running_mean"].shape == (4,)


@pytest.mark.full
def test_programs_of_tensorflow_are_named(tmp_path):
    tf = pytest.importorskip("tensorflow")
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, 8, 8, 3), name="image")
        tf.nn.conv2d(image, tf.constant(np.ones((3, 3, 3, 2), "f4"), name="conv/weights"), 1, "SAME")
    (tmp_path / "frozen_inference_graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    constants = converters.read(tmp_path / "frozen_inference_graph.pb")
    assert {key: array.tolist() for key, array in constants.items()} == {"conv/weights": np.ones((3, 3, 3, 2)).tolist()}
    module = tf.Module()
    module.kernel = tf.Variable(np.ones((3, 3, 3, 2), "f4"))
    module.call = tf.function(lambda x: tf.nn.conv2d(x, module.kernel, 1, "SAME"), [tf.TensorSpec((1, 8, 8, 3))])
    tf.saved_model.save(module, tmp_path / "saved")
    assert "SavedModel" in refusal(tmp_path / "saved")
    assert "SavedModel" in refusal(tmp_path / "saved" / "saved_model.pb")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    (tmp_path / "net.tflite").write_bytes(converter.convert())
    assert "TensorFlow Lite" in refusal(tmp_path / "net.tflite")
    tf.train.Checkpoint(module=module).save(tmp_path / "objects" / "ckpt")
    assert "TensorFlow 2's objects" in refusal(tmp_path / "objects")


def _optimizer():
    weight = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()
    return optimizer


SCALER = {"scale": 1.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000, "_growth_tracker": 0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_optimizer().state_dict(), "holds the state of an optimizer and no weights"),
        ({"optimizer": _optimizer().state_dict(), "epoch": 3}, "holds the state of an optimizer and no weights"),
        ({"state": {"a": {"exp_avg": torch.ones(3)}}, "param_groups": []}, "the state of an optimizer and no weights"),
        (torch.optim.lr_scheduler.StepLR(_optimizer(), 3).state_dict(), "the state of a learning-rate scheduler"),
        (SCALER, "the state of a gradient scaler"),
        ({"opt": _optimizer().state_dict(), "amp": SCALER}, "of an optimizer and the state of a gradient scaler"),
        ({"state_dict": {}, "epoch": 3}, "its entry 'state_dict' is empty.*from its first process"),
    ],
)
def test_file_without_weights_says_what_it_holds(tmp_path, content, message):
    torch.save(content, tmp_path / "x.pth")
    assert re.search(message, refusal(tmp_path / "x.pth"))


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch warns of its own quantization
def test_quantized_tensor_says_what_to_do(tmp_path):
    torch.save({"w": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)}, tmp_path / "x.pth")
    assert re.search("quantized tensor.*before quantization, as float32", refusal(tmp_path / "x.pth"))


def test_weights_beside_the_state_of_training_are_read(tmp_path):
    content = {"model": {"a": torch.ones(2)}, "optimizer": _optimizer().state_dict(), "scaler": SCALER}
    torch.save(content, tmp_path / "x.pth")
    assert list(converters.read(tmp_path / "x.pth")) == ["a"]


def test_caffemodel_of_nvidia_is_named(tmp_path):
    blob = field(7, field(1, b"\2")) + b"\x50\2" + field(12, b"\0" * 4)
    layer = field(1, b"conv1") + field(2, b"Convolution") + field(7, blob)
    (tmp_path / "x.caffemodel").write_bytes(field(1, b"net") + b"\xa2\x06" + field(0, layer)[1:])
    assert re.search("blob 0 of the layer 'conv1'.*NVIDIA's Caffe.*BVLC's Caffe", refusal(tmp_path / "x.caffemodel"))


def test_models_of_onnx_are_not_taken_for_others():
    """The beginnings of ONNX files of several exporters, and of Caffe networks, are no other format."""
    for head in (
        b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\xab\x01",
        b"\x08\x04\x12\x07tf2onnx\x1a\x051.8.4",
        b"\x08\x07\x12\x0abackend-test:\x95\x01",
        b"\x08\x03\x12\x00\x1a\x00:\x95\x01",
        b"\x0a\x09VGG_ILSVRC\xa2\x06\x10",
        b"\x0a\x11VGG_ILSVRC_16_lay\x12\x80\x01\x0a",
    ):
        strangers.refuse_foreign(head)
