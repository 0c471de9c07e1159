"""Files that are no checkpoint of a format that is read here: what each is, and what to do.

The first bytes tell, or the names in an archive or a folder. Names of files are looked at where the content is bare
numbers.
"""

import os
import re
import zlib
from collections.abc import Iterable
from typing import NoReturn

from converters.errors import ConversionError

KNOWN_FORMATS = (
    "a PyTorch .pth/.pt/.bin file, a .safetensors file, a .caffemodel, a Keras .h5 or .keras file, an .onnx "
    "model, a TensorFlow 1 checkpoint or a NumPy .npz file"
)

# The ways out, each in one place.
_SOURCE = "Convert the checkpoint or the .onnx file from which it was made"
_MAPPING = "convert takes a mapping {name: array} with the names of a known family"
_SAVED_MODEL = (
    "is a TensorFlow SavedModel, a program whose weights have lost the names of their layers. convert (tfseg convert) "
    "builds its network, if the whole folder is given. For the weights alone, load it in the version of Keras that "
    "wrote it and save them: model.save_weights('name.h5') in Keras 2, model.save('name.keras') in Keras 3"
)
_EXPORTED = (
    "is a program of torch.export (.pt2) together with its weights. convert (tfseg convert) builds its network, with "
    "torch installed. For the weights alone, load it with torch.export.load and save them: "
    "torch.save(dict(program.state_dict), 'name.pth')"
)
_CORE_ML = f"is a Core ML model, made for Apple's devices. {_SOURCE}"
_OPEN_VINO = f"is a network of OpenVINO (.xml and .bin). {_SOURCE}"
_TENSOR_RT = f"is an engine of TensorRT, compiled for one graphics card. {_SOURCE}"
_NCNN = f"is a network of ncnn (.param and .bin). {_SOURCE}"
_MXNET = (
    "holds parameters of MXNet. mxnet.nd.load gives its arrays, with the kernels in PyTorch's layout: "
    f"{_MAPPING}. No family of MXNet is known here"
)
_PADDLE = (
    "is a checkpoint of Paddle, whose networks are of no family known here. paddle2onnx exports a network to ONNX, "
    "whose graph convert builds, or names the step that it cannot. paddle.load(path, return_numpy=True) gives its "
    f"arrays: {_MAPPING}"
)

_VARINT = rb"[\x80-\xff]*[\x00-\x7f]"

# Formats that could be taken for one that is read here, or for text: exact beginnings, looked at before all others.
# First match wins; each says what the file is and the way out.
_FOREIGN = (
    (rb"(?s).{4}TFL3", f"is a TensorFlow Lite model, made for inference and often quantized. {_SOURCE}"),
    (rb"(?s).{4}ET\d\d", f"is a program of ExecuTorch (.pte), made for inference. {_SOURCE}"),
    (rb"(?s).{4}ORTM", f"is a model in ONNX Runtime's own format (.ort). {_SOURCE}"),
    (rb"GGUF|lmgg|tjgg", "is a model of GGML (GGUF), mostly a quantized language model, of which none is known here"),
    (rb"ftrt", _TENSOR_RT),
    (rb"\x12\x01\0\0\0\0\0\0", _MXNET),
    (rb"\0{16}[\x01-\xff]\0\0\0\x08", _PADDLE),
    (
        rb"\0{4}[\x01\x02]\0{3}[\0-\x05]\0{3}",
        "holds weights of Darknet (YOLO), of whose networks none is known here. Their layers have no names: the .cfg "
        "beside them does",
    ),
    (rb"\s*\[net(work)?\]", "is a Darknet .cfg, which describes a network and holds no weights"),
    (rb"7767517\s", _NCNN),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?<net\s", _OPEN_VINO),
    (
        rb"MATLAB \d\.\d MAT-file",
        "is a MATLAB file, which MatConvNet writes. Convert the network's .caffemodel or PyTorch weights, which are "
        f"public for most of MatConvNet's. scipy.io.loadmat gives the arrays of others: {_MAPPING}",
    ),
    (rb"\x08\x01\x12%b\x0a%b(\x12|\x22\x05serve)" % (_VARINT, _VARINT), _SAVED_MODEL),
    (rb"\x08[\x01-\x0f]\x12%b\x0a%b\x0a[\x01-\x7f][ -~]" % (_VARINT, _VARINT), _CORE_ML),
    (
        rb"(?s)\x0a%b(\x0a%b[\w./^-]+)\x12[\x01-\x40][A-Z_]\w+" % (_VARINT, _VARINT),
        "is a TensorFlow graph without weights among its constants. convert (tfseg convert) builds a frozen TensorFlow "
        "graph; the weights of another one are in its checkpoint (model.ckpt.index and model.ckpt.data-*)",
    ),
    (
        rb"([\x81-\x8f]|\xde..|\xdf....)([\xa1-\xbf]|\xd9.)[A-Za-z_][\w.:/-]*[\x80-\x8f\xc7-\xc9\xd8\xde]",
        "is a checkpoint of Flax (msgpack). transformers saves its networks for PyTorch: "
        "AutoModel.from_pretrained(folder, from_flax=True).save_pretrained(other). "
        f"flax.serialization.msgpack_restore gives the arrays of others: {_MAPPING}",
    ),
)

_WEB_PAGE = rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|!--)"

# What else is no checkpoint.
_STRANGERS = (
    (
        rb"version https://git-lfs",
        "is a Git LFS pointer, a few lines that stand for the real file. Run `git lfs pull`, or download it directly",
    ),
    (
        _WEB_PAGE,
        "looks like a web page, not a checkpoint: the server sent a page (a login, a quota, an error) in its place. "
        "Open the link in a browser, then download again",
    ),
    (rb"\x89HDF\r\n\x1a\n", "is an HDF5 file, and not one of Caffe's (.caffemodel.h5) or Keras's (.h5)"),
    (
        rb"BZh|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!",
        "is a compressed archive. Unpack it and give the file inside",
    ),
    (
        rb"(\s|#[^\n]*\n)*(name|layers?|input|input_dim|input_shape|force_backward|state)\s*[:{]",
        "is a Caffe prototxt, which describes a network and holds no weights. Give the .caffemodel",
    ),
    (
        rb"\x00\x00[\x80-\xff]{0,4}[\x01-\x7f][\x08\x0a]",
        "begins like a TensorFlow checkpoint and does not end like one: it is truncated. Download it again",
    ),
    (rb"\x93NUMPY", "is a single NumPy array. Save named arrays with numpy.savez(path, **arrays)"),
    (
        rb"\s*[\[{]\s*([\"\[{\]}0-9-]|$)",
        "is JSON text. The index of a sharded checkpoint holds no tensors: give the .safetensors or .bin file it names",
    ),
)


# Archives, by the names of their members: the same, beside those that are read.
_ARCHIVES = (
    (r"(.*/)?aotinductor/.*", f"is a network compiled by AOTInductor. {_SOURCE}"),
    (r"(.*/)?(archive_format|serialized_exported_program\.json|models/\w+\.json)", _EXPORTED),
    (
        r"(.*/)?\.data/extern_modules",
        "is a package of torch.package: programs together with weights. Load the network with "
        "torch.package.PackageImporter and save its weights: torch.save(module.state_dict(), path)",
    ),
    (
        r"(.*/)?code/.+\.py",
        "is a TorchScript archive of before PyTorch 1.4: a program together with its weights. Load it with "
        "torch.jit.load and save its weights: torch.save(module.state_dict(), path)",
    ),
    (r"MAR-INF/.*", "is an archive of TorchServe (.mar). Unpack it and give the .pt or .pth file inside"),
    (r"(.*/)?\w+\.mlpackage/.*", _CORE_ML),
    (r"(.*/)?saved_model\.pb", _SAVED_MODEL),
)

# Folders, by the names in them.
_FOLDERS = (
    (r"saved_model\.pb", _SAVED_MODEL),
    (r"Manifest\.json|coremldata\.bin", _CORE_ML),
    (
        r".*\.distcp",
        "is a checkpoint of torch.distributed.checkpoint. Bring it into one file: "
        "torch.distributed.checkpoint.format_utils.dcp_to_torch_save(folder, 'name.pth')",
    ),
    (
        r"data\.pkl",
        "is an unpacked PyTorch file. Pack it again from the folder above: zip -0 -r name.pth FOLDER",
    ),
    (
        r"manifest\.ocdbt|_CHECKPOINT_METADATA",
        f"is a checkpoint of Orbax. orbax.checkpoint.PyTreeCheckpointer().restore gives its arrays: {_MAPPING}",
    ),
)

# Bare numbers, by the name of the file.
_NAMES = (
    (r"(?i).*\.(engine|trt|plan)", _TENSOR_RT),
    (r"(?i).*\.ncnn\.bin", _NCNN),
    (r"(?i).*\.(pdparams|pdiparams|pdmodel|pdopt)", _PADDLE),
)
# The same for the name of another file beside it, in place of its own suffix.
_BESIDE = ((".xml", _OPEN_VINO), (".param", _NCNN))


def is_web_page(head: bytes) -> bool:
    """Whether a file begins as HTML or XML does: servers send pages (a login, a quota, an error) in a file's place.

    Args:
        head: first bytes of the file.
    """
    return re.match(_WEB_PAGE, head) is not None


def refuse_foreign(head: bytes) -> None:
    """Refuses a file of another program's format that could be taken for one that is read here.

    Args:
        head: first bytes of the file.
    Raises: ConversionError that says what the file is, and the way out.
    """
    for pattern, what in _FOREIGN:
        if re.match(pattern, head):
            _refuse(what)


def refuse_archive(names: Iterable[str]) -> None:
    """Refuses a zip archive of another program's format.

    Args:
        names: names of its members.
    Raises: ConversionError that says what the archive is, and the way out.
    """
    _refuse_names(_ARCHIVES, names)


def refuse_folder(names: Iterable[str]) -> None:
    """Refuses a folder of another program's format.

    Args:
        names: names in it.
    Raises: ConversionError that says what the folder is, and the way out.
    """
    _refuse_names(_FOLDERS, names)


def refuse_paddle(saved: object) -> None:
    """Refuses a pickle of Paddle, whose dense layers lie the other way round.

    Args:
        saved: the object in the pickle.
    Raises: ConversionError that says what the file is, and the way out.
    """
    if isinstance(saved, dict) and ("StructuredToParameterName@@" in saved or "UnpackBigParamInfor@@" in saved):
        _refuse(_PADDLE)


def refuse_stranger(path: str, data: memoryview) -> NoReturn:
    """Raises the ConversionError that fits a file of no known format.

    Args:
        path: where the file lies.
        data: bytes of the file.
    Raises: ConversionError, always.
    """
    head = bytes(data[:512])
    for pattern, what in _STRANGERS:
        if re.match(pattern, head):
            _refuse(what)
    if head.startswith(b"\x1f\x8b"):
        command = "tar xzf" if _tar_member(_unpacked(data)) else "gunzip"
        _refuse(f"is compressed with gzip. Unpack it ({command}) and give the file inside")
    if member := _tar_member(head):
        _refuse(
            f"is a tar archive, which begins with {member!r}. Unpack it (tar xf) and give the file inside. If the "
            "PyTorch of 2016 wrote it, load it with torch.load and save model.state_dict() again"
        )
    _refuse_names(_NAMES, [os.path.basename(path)])
    for suffix, what in _BESIDE:
        if os.path.exists(os.path.splitext(path)[0] + suffix):
            _refuse(what)
    if head.strip(b"\0") == b"":
        raise ConversionError("begins with zeros alone: the download or copy was cut short. Download it again.")
    kind = "plain text" if _is_text(head) else "a file of unknown format"
    raise ConversionError(f"is {kind}. Expected {KNOWN_FORMATS}. Received: {len(data)} bytes that begin {head[:24]!r}.")


def _refuse(what: str) -> NoReturn:
    raise ConversionError(f"{what}. Expected {KNOWN_FORMATS}.")


def _refuse_names(table: Iterable[tuple[str, str]], names: Iterable[str]) -> None:
    names = list(names)
    for pattern, what in table:
        if any(re.fullmatch(pattern, name) for name in names):
            _refuse(what)


def _unpacked(data: memoryview) -> bytes:
    """The first bytes of what gzip compressed; none of a damaged file."""
    try:
        return zlib.decompressobj(31).decompress(bytes(data[:65536]), 512)
    except zlib.error:
        return b""


def _tar_member(head: bytes) -> str | None:
    """The first name in a tar archive, by the archive's first bytes; None for another file."""
    if head[257:262] != b"ustar":
        return None
    return head[:100].rstrip(b"\0").decode("utf-8", "replace")


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")  # ignore: the cut at 512 bytes may split a character
    return len(text.encode()) >= len(head) - 3 and all(c.isprintable() or c.isspace() for c in text)
