"""The server: what it answers, what it refuses and with which words, and that it stays up."""

import asyncio
import base64
import gzip
import io
import json
import shutil
import socket
import struct
import threading
import zlib

import keras
import numpy as np
import pytest
from PIL import Image

import tfseg

pytest.importorskip("tensorflow")
aiohttp = pytest.importorskip("aiohttp")

from helpers.served import CLASSES, COLORS, call, encoded, expected, photograph, serving, until, write_folder  # noqa: E402

from tfseg.serving.exported import Exported  # noqa: E402

PREDICT = "/v1/models/colours:predict"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("exported") / "colours")


@pytest.fixture(scope="module")
def exported(folder):
    return Exported(folder)


@pytest.fixture(scope="module")
def port(exported):
    with serving(exported, max_pixels=100_000, max_bytes=400_000) as port:
        yield port


# ------------------------------------------------------------------------------------------------------------ pictures


def test_a_picture_becomes_a_mask_with_the_colours(port):
    pixels = photograph()
    status, headers, body = call(port, "/segment", encoded(pixels))
    assert (status, headers["Content-Type"]) == (200, "image/png")
    with Image.open(io.BytesIO(body)) as mask:
        np.testing.assert_array_equal(mask, expected(pixels))
        assert np.reshape(mask.getpalette(), (-1, 3))[:4].tolist() == COLORS
    assert len(np.unique(expected(pixels))) == 4


def test_overlay_shares_and_array(port):
    pixels = photograph()
    classes = expected(pixels)
    _, headers, body = call(port, "/segment?output=overlay", encoded(pixels))
    assert headers["Content-Type"] == "image/jpeg"
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.height > 65
    _, _, found = call(port, "/segment?output=json", encoded(pixels))
    assert (found["height"], found["width"]) == classes.shape
    assert {row["name"]: row["pixels"] for row in found["classes"]} == dict(
        zip(CLASSES, np.bincount(classes.ravel()).tolist(), strict=True)
    )
    assert sum(row["share"] for row in found["classes"]) == pytest.approx(1)
    assert [row["share"] for row in found["classes"]] == sorted(
        (row["share"] for row in found["classes"]), reverse=True
    )
    _, _, body = call(port, "/segment?output=npy", encoded(pixels))
    np.testing.assert_array_equal(np.load(io.BytesIO(body)), classes)


def test_chosen_classes(port):
    pixels = photograph()
    _, _, body = call(port, "/segment?class=green&class=3", encoded(pixels))
    with Image.open(io.BytesIO(body)) as mask:
        np.testing.assert_array_equal(mask, np.where(np.isin(expected(pixels), (1, 3)), 255, 0))
    red = encoded(np.full((4, 5, 3), (250, 0, 0), "uint8"))
    _, _, found = call(port, "/segment?output=json&class=green&class=red", red)
    assert [(row["name"], row["share"]) for row in found["classes"]] == [("red", 1), ("green", 0)]


def test_a_form_as_of_curl(port):
    pixels = photograph()

    def form(*fields):
        parts = "".join(f"--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{{}}\r\n" for head, _ in fields)
        body = b"".join(
            text.encode() + data
            for text, data in zip(parts.split("{}"), [*(data for _, data in fields), b""], strict=True)
        )
        return call(
            port, "/segment?output=npy", body + b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}
        )

    image = ('name="image"; filename="photo.png"', encoded(pixels))
    _, _, body = form(('name="comment"', b"hello"), image)
    np.testing.assert_array_equal(np.load(io.BytesIO(body)), expected(pixels))
    assert form(image, image)[::2] == (
        400,
        {"error": "A form has one file, as of curl --form image=@photo.jpg. Received: 2"},
    )
    status, _, answer = call(port, "/segment", b"--x\r\nbroken", {"Content-Type": "multipart/form-data; boundary=x"})
    assert (status, answer) == (400, {"error": "The form cannot be read: Invalid HTTP header: b'broken'"})
    large = ('name="image"; filename="photo.png"', b"x" * 500_000)
    assert form(large)[0] == 413


KINDS = {
    "palette": lambda image: encoded(image.quantize(7)),
    "grey": lambda image: encoded(image.convert("L")),
    "bilevel": lambda image: encoded(image.convert("1")),
    "alpha": lambda image: encoded(image.convert("RGBA")),
    "transparent_palette": lambda image: encoded(image.quantize(7), transparency=3),
    "cmyk": lambda image: encoded(image.convert("CMYK"), "JPEG"),
    "exif": lambda image: encoded(image, "JPEG", exif=_turned()),
    "16_bit": lambda image: encoded(Image.fromarray(np.asarray(image.convert("L")).astype("uint16") * 257)),
    "webp": lambda image: encoded(image, "WEBP"),
    "gif": lambda image: encoded(image, "GIF"),
    "tiff": lambda image: encoded(image, "TIFF"),
    "bmp": lambda image: encoded(image, "BMP"),
    "one_pixel": lambda image: encoded(image.resize((1, 1))),
    "20000_wide": lambda image: encoded(image.resize((20_000, 3))),
}


def _turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_read_as_by_predict(port, kind, tmp_path):
    data = KINDS[kind](Image.fromarray(photograph()))
    (tmp_path / "picture").write_bytes(data)
    try:
        wanted = expected(tfseg.read_image(tmp_path / "picture"))
    except ValueError:
        wanted = None
    status, _, body = call(port, "/segment?output=npy", data)
    if wanted is None:
        assert (status, body["error"][:28]) == (400, "The picture cannot be read: ")
        assert "0x" not in body["error"]
    else:
        np.testing.assert_array_equal(np.load(io.BytesIO(body)), wanted)
        assert kind != "exif" or wanted.shape == (83, 65)


def bomb(width, height):
    """The head of a PNG that would fill memory: 60 bytes."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"")


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/segment", b"no picture at all", 415, "one of BMP, GIF, JPEG, PNG, TIFF, WEBP. Received: 17 bytes, starting with b'no pictu'"),
        ("/segment", b"", 415, "Received: 0 bytes"),
        ("/segment", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "A picture is one of BMP"),
        ("/segment", encoded(photograph())[:300], 400, "The picture cannot be read: "),
        ("/segment", encoded(photograph(size=(400, 300))), 413, "at most 100000 pixels here: shrink it. Received: 300 x 400"),
        ("/segment", bomb(10_000, 9_000), 413, "at most 100000 pixels here: shrink it."),
        ("/segment", bomb(60_000, 60_000), 413, "at most 100000 pixels here: shrink it."),
        ("/segment", b"x" * 400_001, 413, "A request has at most 400000 bytes here. Received: 400001"),
        ("/segment?output=gif", b"", 400, "The output is one of mask, overlay, json, npy. Received: 'gif'"),
        ("/segment?class=pink", b"", 400, "The model 'colours' has no class 'pink'. It has 0 to 3: red, green"),
        ("/segment?class=4", b"", 400, "has no class '4'"),
        ("/segment?class=red&output=overlay", b"", 400, "chosen with the outputs mask, json, not overlay"),
        ("/nothing", b"", 404, "Not Found"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_picture_is_told(port, path, body, status, message):
    found, headers, answer = call(port, path, body)
    assert found == status
    assert headers["Content-Type"].startswith("application/json")
    assert message in answer["error"]
    assert call(port, "/health")[2]["requests"] == 0


def test_a_body_without_a_length_is_bounded_too(port):
    status, _, answer = call(port, "/segment", iter([b"x" * 50_000] * 20))
    assert (status, answer) == (413, {"error": "A request has at most 400000 bytes here. Received: more"})


def test_a_body_is_bounded_as_it_unpacks(port):
    body = gzip.compress(bytes(50_000_000))
    assert len(body) < 60_000
    status, _, answer = call(port, "/segment", body, {"Content-Encoding": "gzip"})
    assert (status, answer) == (413, {"error": "A request has at most 400000 bytes here. Received: more"})


# ---------------------------------------------------------------------------------------------------- TF Serving's form


def b64(data):
    return {"b64": base64.b64encode(data).decode()}


def predict(port, path=PREDICT, **request):
    return call(port, path, json.dumps(request))


def test_rows_and_columns(port):
    images = np.stack([photograph(seed, (6, 7)) for seed in range(2)])
    classes, rows = expected(images).tolist(), images.tolist()
    for inputs in (rows, {"images": rows}):
        assert predict(port, signature_name="classes", inputs=inputs)[2] == {"outputs": classes}
    for instances in (rows, [{"images": row} for row in rows]):
        assert predict(port, signature_name="classes", instances=instances)[2] == {"predictions": classes}
    sums = images.sum((1, 2, 3)).tolist()
    assert predict(port, signature_name="both", inputs=rows)[2] == {"outputs": {"classes": classes, "sums": sums}}
    assert predict(port, signature_name="both", instances=rows)[2] == {
        "predictions": [{"classes": one, "sums": total} for one, total in zip(classes, sums, strict=True)]
    }


def test_files_in_base64(port):
    images = np.stack([photograph(seed) for seed in range(2)])
    files = [b64(encoded(image)) for image in images]
    classes = expected(images).tolist()
    for instances in (files, [{"image_bytes": file} for file in files]):
        _, _, found = predict(port, signature_name="classes_from_bytes", instances=instances)
        assert found == {"predictions": classes}
    assert predict(port, signature_name="classes_from_bytes", inputs=files)[2] == {"outputs": classes}


def test_the_default_signature_and_a_version(port, exported):
    image = np.random.default_rng(0).normal(size=(1, 3, 4, 3)).astype("float32")
    _, _, found = predict(port, "/v1/models/colours/versions/1:predict", inputs=image.tolist())
    (wanted,) = exported.run("logits", {"images": image}).values()
    np.testing.assert_array_equal(np.float32(found["outputs"]), wanted)


def test_status_and_metadata_as_of_tf_serving(port):
    status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert call(port, "/v1/models/colours")[2] == {"model_version_status": [status]}
    assert call(port, "/v1/models/colours/versions/1")[2] == {"model_version_status": [status]}
    _, _, found = call(port, "/v1/models/colours/metadata")
    assert found["model_spec"] == {"name": "colours", "signature_name": "", "version": "1"}
    signature = found["metadata"]["signature_def"]["signature_def"]["classes"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["images"]["dtype"] == "DT_UINT8"
    sizes = [one["size"] for one in signature["inputs"]["images"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", "-1", "-1", "3"]
    assert signature["inputs"]["images"]["name"] == "classes_images:0"


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ("{", 400, "The request is not JSON: "),
        ("\xff", 400, "The request is not JSON: "),
        ("[" * 100_000, 400, "The request is not JSON: nested too deeply"),
        ('{"inputs": NaN}', 400, "NaN is no number of JSON"),
        ("[]", 400, "A request is a JSON object. Received: list"),
        ("{}", 400, "either instances or inputs. Received: neither"),
        ({"inputs": [], "instances": []}, 400, "either instances or inputs. Received: "),
        ({"signature_name": "nope"}, 400, "The signatures are both, classes, classes_from_bytes, logits, serving_default. Received: signature_name 'nope'"),
        ({"signature_name": ["classes"]}, 400, "Received: signature_name ['classes']"),
        ({"instances": []}, 400, "Instances are a list of at least one. Received: a list of 0"),
        ({"instances": {"images": 1}}, 400, "Instances are a list of at least one"),
        ({"instances": [{"images": 1}, {"image": 1}]}, 400, "Instances all have the same inputs"),
        ({"inputs": {"pictures": 1}}, 400, "The inputs of serving_default are images. Received: pictures"),
        ({"inputs": [[[[1, 2, 3]], [[1, 2]]]]}, 400, "images is a regular array"),
        ({"inputs": [[[[1, 2]]]]}, 400, "images has the shape (None, None, None, 3), as TensorFlow writes it. Received: (1, 1, 1, 2)"),
        ({"inputs": [[[["a", "b", "c"]]]]}, 400, "images has numbers of float32. Received: a list of 1"),
        ({"inputs": None}, 400, "images has numbers of float32. Received: None"),
        ({"signature_name": "classes", "inputs": [[[[1, 2, 300]]]]}, 400, "images has numbers of uint8. Received: 1 to 300"),
        ({"signature_name": "classes", "inputs": [[[[1, 2, 0.5]]]]}, 400, "images has numbers of uint8"),
        ({"signature_name": "classes", "inputs": [[[[1, 2, 10**30]]]]}, 400, "images has numbers of uint8"),
        ({"signature_name": "classes_from_bytes", "instances": ["text"]}, 400, 'A picture file comes as {"b64": "..."}. Received: \'text\''),
        ({"signature_name": "classes_from_bytes", "instances": [{"b64": "?"}]}, 400, "What b64 holds is not base64"),
        ({"signature_name": "classes_from_bytes", "inputs": b64(encoded(photograph()))}, 400, "image_bytes has the shape (None,)"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(b"text")]}, 415, "A picture is one of BMP"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(bomb(60_000, 60_000))]}, 413, "at most 100000 pixels"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(encoded(photograph(size=(250, 300))))] * 2}, 413, "at most 100000 pixels together. Received: 150000"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(bomb(20, 20))]}, 400, "The model does not take this input: Invalid PNG data"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(encoded(photograph(size=(9, side)))) for side in (8, 9)]}, 400, "The model does not take this input: PartialTensorShape: Incompatible shapes"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_json_is_told(port, request_, status, message):
    body = request_ if isinstance(request_, str) else json.dumps(request_)
    found, _, answer = call(port, PREDICT, body.encode("latin1"))
    assert found == status
    assert message in answer["error"]


def test_answers_have_a_bound(port, monkeypatch):
    monkeypatch.setattr("tfseg.serving.rest._MOST_VALUES", 47)
    status, _, answer = predict(port, inputs=np.zeros((1, 3, 4, 3)).tolist())
    assert (status, answer["error"]) == (413, "An answer has at most 47 values: ask for classes. Received: 48")


def test_what_is_not_there(port):
    for path in ("/v1/models/other", "/v1/models/colours/versions/2", "/v1/models/other/metadata"):
        status, _, answer = call(port, path)
        assert status == 404
        assert answer["error"].startswith("The model here is colours, version 1. Received: ")
    assert call(port, "/v1/models/other:predict", "{}")[0] == 404
    status, headers, answer = call(port, "/segment")
    assert (status, headers["Allow"], answer) == (405, "POST", {"error": "Method Not Allowed"})


# ---------------------------------------------------------------------------------------------------------- many at once


class Slow:
    """A model that waits until it is let go."""

    def __init__(self, exported):
        self.go, self.calls = threading.Event(), 0
        self.name, self.classes, self.colors = exported.name, exported.classes, exported.colors

    def segment(self, pixels):
        self.calls += 1
        self.go.wait(30)
        return expected(pixels)


def at_once(port, bodies, path="/segment?output=npy"):
    """[(status, body)] of requests that are all sent before the first is answered."""

    async def all_of_them():
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector) as session:

            async def one(body):
                async with session.post(path, data=body) as response:
                    return response.status, await response.read()

            return await asyncio.gather(*map(one, bodies))

    return asyncio.run(all_of_them())


def test_200_requests_at_once_are_all_answered_rightly(exported):
    photographs = [photograph(seed, (20 + seed % 7, 30 + seed % 11)) for seed in range(200)]
    broken = [b"no picture", b"x" * 200_000, encoded(photograph())[:300]] * 10
    with serving(exported, max_bytes=100_000) as port:
        answers = at_once(port, [*broken[:15], *map(encoded, photographs), *broken[15:]])
        assert [status for status, _ in answers[:15] + answers[-15:]] == [415, 413, 400] * 10
        for pixels, (status, body) in zip(photographs, answers[15:-15], strict=True):
            assert status == 200
            np.testing.assert_array_equal(np.load(io.BytesIO(body)), expected(pixels))
        assert call(port, "/health")[2] == {"status": "ok", "model": "colours", "requests": 0}


def test_more_than_the_queue_holds_are_sent_away(exported):
    slow = Slow(exported)
    with serving(slow, queue=3) as port:
        data = encoded(photograph())
        found = []
        threads = [threading.Thread(target=lambda: found.append(call(port, "/segment", data))) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: call(port, "/health")[2]["requests"] == 3)
        status, headers, answer = call(port, "/segment", data)
        assert (status, headers["Retry-After"]) == (503, "5")
        assert answer == {"error": "3 requests are waiting already: try again in a moment."}
        slow.go.set()
        for thread in threads:
            thread.join()
        assert [status for status, *_ in found] == [200] * 3
        assert call(port, "/segment", data)[0] == 200


def test_time_is_limited_and_what_waits_in_vain_never_runs(exported):
    slow = Slow(exported)
    with serving(slow, timeout=1) as port:
        answers = at_once(port, [encoded(photograph())] * 3)
        assert {(status, json.loads(body)["error"]) for status, body in answers} == {
            (504, "The request took longer than 1 s.")
        }
        slow.go.set()
        assert call(port, "/segment", encoded(photograph()))[0] == 200
        assert slow.calls == 2


def test_a_body_that_never_comes_is_not_waited_for(exported):
    with serving(exported, timeout=1) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nfew")
        assert client.recv(1000).startswith(b"HTTP/1.1 408 ")
        assert call(port, "/health")[2]["requests"] == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /segment HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["no HTTP", "a header without end", "no length", "no chunk"],
)
def test_what_is_no_http_is_told(port, sent):
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(sent)
        assert b" 400 " in client.recv(1000).splitlines()[0]
    until(lambda: call(port, "/health")[2]["requests"] == 0)


def test_who_hangs_up_is_not_worked_for(exported):
    slow = Slow(exported)
    with serving(slow) as port:
        data = encoded(photograph())
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
                until(lambda: slow.calls)
        until(lambda: not call(port, "/health")[2]["requests"])
        slow.go.set()
        assert call(port, "/segment", data)[0] == 200
        assert slow.calls <= 2


def test_a_failure_of_ours_is_told_without_its_details(exported, monkeypatch, caplog):
    monkeypatch.setattr(exported, "segment", lambda pixels: 1 / 0)
    with serving(exported) as port:
        status, _, answer = call(port, "/segment", encoded(photograph()))
        assert (status, answer) == (500, {"error": "The server failed; its log says where."})
        assert call(port, "/health")[0] == 200
    assert "ZeroDivisionError" in caplog.text


# --------------------------------------------------------------------------------------------------------------- folders


def test_the_highest_version_counts(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "1").rename(tmp_path / "model" / "10")
    shutil.copytree(folder / "1", tmp_path / "model" / "9")
    served = Exported(tmp_path / "model", "mine")
    assert (served.name, served.version) == ("mine", "10")


def test_classes_without_names_or_colours(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    facts = json.loads((folder / "metadata.json").read_text()) | {"classes": None, "colors": None}
    (tmp_path / "model" / "metadata.json").write_text(json.dumps(facts))
    served = Exported(tmp_path / "model")
    assert served.classes == ["class 0", "class 1", "class 2", "class 3"]
    assert served.colors == [list(color) for color in tfseg.specs.VOC_PALETTE[:4]]


def test_a_model_of_one_size(tmp_path):
    pixels = photograph(size=(32, 48))
    with serving(Exported(write_folder(tmp_path, size=(32, 48)))) as port:
        _, _, body = call(port, "/segment?output=npy", encoded(pixels))
        np.testing.assert_array_equal(np.load(io.BytesIO(body)), expected(pixels))
        status, _, answer = call(port, "/segment", encoded(photograph()))
        assert (status, answer["error"]) == (
            400,
            "images has the shape (None, 32, 48, 3), as TensorFlow writes it. Received: (1, 65, 83, 3)",
        )


@pytest.mark.full
@pytest.mark.parametrize("size", [None, (65, 83)])
def test_a_folder_that_export_made(tmp_path, size):
    keras.utils.set_random_seed(0)
    network = tfseg.FCN32s(5, width=1 / 16, padding="same")
    kernel = network.get_layer("score_fr").kernel  # its zeros would make all classes alike
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    tfseg.set_metadata(network, classes=[*"abcde"])
    served = Exported(tfseg.export(network, tmp_path / "street", size=size))
    pixels = photograph()
    wanted = tfseg.predict(network, pixels)
    assert len(np.unique(wanted)) > 1
    with serving(served) as port:
        _, _, body = call(port, "/segment?output=npy", encoded(pixels))
        np.testing.assert_array_equal(np.load(io.BytesIO(body)), wanted)
        path = "/v1/models/fcn32s:predict"
        for signature, value in (("classes", pixels.tolist()), ("classes_from_bytes", b64(encoded(pixels)))):
            _, _, found = predict(port, path, signature_name=signature, instances=[value])
            np.testing.assert_array_equal(found["predictions"], wanted[None])
        assert call(port, "/segment?output=json&class=e", encoded(pixels))[2]["classes"][0]["class"] == 4
    weights = tmp_path / "street" / "1" / "variables" / "variables.data-00000-of-00001"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"The exported model '.*1' does not load and run: Read less bytes"):
        Exported(tmp_path / "street")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda model: shutil.rmtree(model), r"There is no exported model '.*model': tfseg-export makes one"),
        (lambda model: (model / "metadata.json").unlink(), r"model' has no metadata.json, so it is no folder that tfseg.export made"),
        (lambda model: (model / "metadata.json").write_text("{"), r"metadata.json' is not what tfseg.export writes: JSONDecodeError"),
        (lambda model: (model / "metadata.json").write_text('{"name": "x"}'), r"metadata.json' is not what tfseg.export writes: KeyError\('num_classes'\)"),
        (lambda model: (model / "metadata.json").write_text("[]"), r"metadata.json' is not what tfseg.export writes: TypeError"),
        (lambda model: (model / "1").rename(model / "model.onnx"), r"no SavedModel in a directory 1: export with the format saved_model. Received: metadata.json, model.onnx"),
        (lambda model: (model / "1" / "saved_model.pb").write_bytes(b"corrupt"), r"The exported model '.*1' does not load and run: "),
        (lambda model: (model / "1" / "saved_model.pb").unlink(), r"The exported model '.*1' does not load and run: .*No such file"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_folder_is_told(folder, tmp_path, damage, message):
    shutil.copytree(folder, tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(ValueError, match=message):
        Exported(tmp_path / "model")


def test_a_model_without_its_preprocessing_cannot_be_served(tmp_path):
    import tensorflow as tf

    logits = tf.function(lambda images: images).get_concrete_function(
        tf.TensorSpec((None, None, None, 3), name="images")
    )
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"), signatures={"logits": logits})
    facts = {"name": "x", "num_classes": 3, "classes": None, "colors": None}
    (tmp_path / "metadata.json").write_text(json.dumps(facts))
    with pytest.raises(
        ValueError, match="it has no signature 'classes': export a model that carries its preprocessing"
    ):
        Exported(tmp_path)
