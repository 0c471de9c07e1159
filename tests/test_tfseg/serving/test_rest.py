"""TF Serving's REST API: what it answers, and which requests it refuses."""

import base64
import json
import tracemalloc

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow")
pytest.importorskip("aiohttp")

from helpers.served import b64, bomb, call, encoded, expected, photograph, predict, serving, write_folder

import tfseg
from tfseg.serving import rest
from tfseg.serving.errors import Refused
from tfseg.serving.exported import ExportedModel

PREDICT = "/v1/models/colors:predict"


def test_inputs_and_instances_get_the_same_classes(port):
    images = np.stack([photograph(seed, (6, 7)) for seed in range(2)])
    classes, rows = expected(images).tolist(), images.tolist()
    for inputs in (rows, {"images": rows}):
        assert predict(port, signature_name="classes", inputs=inputs)[2] == {"outputs": classes}
    for instances in (rows, [{"images": row} for row in rows]):
        assert predict(port, signature_name="classes", instances=instances)[2] == {"predictions": classes}
    sums = images.sum((1, 2, 3)).tolist()
    assert predict(port, signature_name="both", inputs=rows)[2] == {"outputs": {"classes": classes, "sums": sums}}
    assert predict(port, signature_name="both", instances=rows)[2] == {
        "predictions": [{"classes": row, "sums": total} for row, total in zip(classes, sums, strict=True)]
    }


def test_image_files_come_in_base64(port):
    images = np.stack([photograph(seed) for seed in range(2)])
    files = [b64(encoded(image)) for image in images]
    classes = expected(images).tolist()
    for instances in (files, [{"image_bytes": file} for file in files]):
        _, _, answer = predict(port, signature_name="classes_from_bytes", instances=instances)
        assert answer == {"predictions": classes}
    assert predict(port, signature_name="classes_from_bytes", inputs=files)[2] == {"outputs": classes}


def test_an_image_file_needs_no_signature(port):
    image = photograph()
    file, classes = b64(encoded(image)), expected(image[None]).tolist()
    for request in ({"instances": [file]}, {"instances": [{"image_bytes": file}]}):
        assert predict(port, **request)[2] == {"predictions": classes}
    for request in ({"inputs": [file]}, {"inputs": {"image_bytes": [file]}}):
        assert predict(port, **request)[2] == {"outputs": classes}


def test_base64_may_have_line_breaks_and_be_an_address_of_data(port):
    image = photograph()
    text = base64.encodebytes(encoded(image)).decode()
    assert "\n" in text.strip()
    for form in (text, "data:image/png;base64," + text.replace("\n", "")):
        assert predict(port, instances=[{"b64": form}])[2] == {"predictions": expected(image[None]).tolist()}


TURNED = Image.Exif()
TURNED[0x0112] = 6


@pytest.mark.parametrize(
    ("form", "options"),
    [("WEBP", {"lossless": True}), ("BMP", {}), ("TIFF", {}), ("GIF", {}), ("JPEG", {"exif": TURNED})],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_in_base64_are_read_like_read_image(port, form, options, tmp_path):
    content = encoded(photograph(), form, **options)
    (tmp_path / "image").write_bytes(content)
    wanted = expected(tfseg.read_image(tmp_path / "image"))
    assert form != "JPEG" or wanted.shape == (83, 65)
    assert predict(port, instances=[b64(content)])[2] == {"predictions": [wanted.tolist()]}


def test_files_of_several_sizes_get_their_own_classes(port):
    images = [photograph(seed, (8 + seed, 9)) for seed in range(3)]
    wanted = [expected(image).tolist() for image in images]
    files = [b64(encoded(image)) for image in images]
    assert predict(port, instances=files)[2] == {"predictions": wanted}
    assert predict(port, inputs=files)[2] == {"outputs": wanted}


@pytest.mark.parametrize("signature", [{}, {"signature_name": "logits"}], ids=["default", "logits"])
def test_photographs_sent_to_logits_are_told_where_they_belong(port, signature):
    rows = photograph()[None].tolist()
    status, _, answer = predict(port, **signature, inputs=rows)
    assert status == 400
    assert "whole numbers from " in answer["error"]
    assert answer["error"].endswith('For photographs give "signature_name": "classes"')
    assert predict(port, **signature, inputs=(photograph()[None] / 255).tolist())[0] == 200


def test_a_network_for_photographs_as_they_are_takes_them_as_logits(tmp_path):
    plain = {"channel_order": "RGB", "divisor": 1.0, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    (tmp_path / "colors").mkdir()
    with serving(ExportedModel(write_folder(tmp_path / "colors", preprocessing=plain))) as port:
        assert predict(port, inputs=photograph()[None].tolist())[0] == 200


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_json_does_not_have_are_no_answer(value):
    with pytest.raises(Refused, match="NaN or infinity") as caught:
        rest.write_answer([{"logits": np.array([[1.0, value]])}], by_rows=True)
    assert caught.value.status == 422


@pytest.mark.parametrize("value", [1e39, -1e300, 3.5e38])
def test_numbers_that_the_input_cannot_hold_are_refused(port, value):
    status, _, answer = predict(port, inputs=[[[[value, 0.5, 0.25]]]])
    assert (status, answer["error"][:46]) == (400, "images has numbers of float32, up to 3.40282e+")


def test_a_text_among_numbers_costs_no_memory():
    body = json.dumps({"inputs": ["a" * 100_000, *"b" * 5000]}).encode()
    tracemalloc.start()
    with pytest.raises(Refused, match=r"images has numbers of float32. Received: a list of 5001, with text in it"):
        rest.read_request(body, {"serving_default": {"images": "float32"}}, 10_000)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("request_", [{"signature_name": "a" * 5000}, {"a" * 5000: 1}])
def test_errors_do_not_repeat_a_long_request(request_):
    with pytest.raises(Refused) as caught:
        rest.read_request(json.dumps(request_).encode(), {"serving_default": {"images": "float32"}}, 10_000)
    assert len(str(caught.value)) < 400


def test_nesting_is_refused_however_deep(port):
    for depth in (10, 500, 995, 1015, 1023, 1025, 60_000):
        for path, start in ((PREDICT, b'{"inputs":'), ("/segment", b'{"b64":')):
            for opening, closing in ((b'{"a":', b"}"), (b"[", b"]")):
                body = start + opening * depth + b"1" + closing * depth + b"}"
                assert call(port, path, body, {"Content-Type": "application/json"})[0] == 400


def test_elements_of_json_are_counted_before_any_is_made(exported):
    with serving(exported, max_elements=1000) as port:
        status, _, answer = call(port, PREDICT, b'{"inputs": [' + b"[]," * 500 + b"[]]}")
        assert (status, answer["error"]) == (
            413,
            "JSON has at most 1000 elements here: send images as files. Received: 1003",
        )
        assert predict(port, inputs=(photograph(size=(4, 5))[None] / 255).tolist())[0] == 200


def test_the_default_signature_of_a_version_is_logits(port, exported):
    image = np.random.default_rng(0).normal(size=(1, 3, 4, 3)).astype("float32")
    _, _, answer = predict(port, "/v1/models/colors/versions/1:predict", inputs=image.tolist())
    (logits,) = exported.run("logits", {"images": image}).values()
    np.testing.assert_array_equal(np.float32(answer["outputs"]), logits)


def test_status_and_metadata_have_the_form_of_tf_serving(port):
    status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert call(port, "/v1/models/colors")[2] == {"model_version_status": [status]}
    assert call(port, "/v1/models/colors/versions/1")[2] == {"model_version_status": [status]}
    _, _, answer = call(port, "/v1/models/colors/metadata")
    assert answer["model_spec"] == {"name": "colors", "signature_name": "", "version": "1"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["classes"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["images"]["dtype"] == "DT_UINT8"
    sizes = [axis["size"] for axis in signature["inputs"]["images"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", "-1", "-1", "3"]
    assert signature["inputs"]["images"]["name"] == "classes_images:0"


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ("{", 400, "The request is not JSON, or nested too deeply: "),
        ("\xff", 400, "The request is not JSON, or nested too deeply: "),
        ("[" * 100_000, 400, "The request is not JSON, or nested too deeply"),
        ('{"inputs": NaN}', 400, "The request is not JSON, or nested too deeply: "),
        ("[]", 400, "A request is a JSON object. Received: list"),
        ("{}", 400, "either instances or inputs. Received: neither"),
        ({"inputs": [], "instances": []}, 400, "either instances or inputs. Received: "),
        ({"signature_name": "nope"}, 400, "The signatures are both, classes, classes_from_bytes, logits, serving_default. Received: signature_name 'nope'"),
        ({"signature_name": ["classes"]}, 400, "Received: signature_name ['classes']"),
        ({"instances": []}, 400, "Instances are a list of at least one. Received: a list of 0"),
        ({"instances": {"images": 1}}, 400, "Instances are a list of at least one"),
        ({"instances": [{"images": 1}, {"image": 1}]}, 400, "All instances have the same inputs"),
        ({"inputs": {"pictures": 1}}, 400, "The inputs of serving_default are images. Received: pictures"),
        ({"inputs": [[[[1, 2, 3]], [[1, 2]]]]}, 400, "images is a regular array"),
        ({"inputs": [[[[1, 2]]]]}, 400, "images has the shape (None, None, None, 3), as TensorFlow writes it. Received: (1, 1, 1, 2)"),
        ({"inputs": [[[["a", "b", "c"]]]]}, 400, "images has numbers of float32. Received: a list of 1"),
        ({"inputs": None}, 400, "images has numbers of float32. Received: None"),
        ({"signature_name": "classes", "inputs": [[[[1, 2, 300]]]]}, 400, "images has numbers of uint8. Received: 1 to 300"),
        ({"signature_name": "classes", "inputs": [[[[1, 2, 0.5]]]]}, 400, "images has numbers of uint8"),
        ({"signature_name": "classes", "inputs": [[[[1, 2, 10**30]]]]}, 400, "images has numbers of uint8"),
        ({"signature_name": "classes_from_bytes", "instances": ["text"]}, 400, 'An image file comes as {"b64": "..."}. Received: \'text\''),
        ({"signature_name": "classes_from_bytes", "instances": [{"b64": "?"}]}, 400, "The text of b64 is not base64"),
        ({"signature_name": "classes_from_bytes", "inputs": b64(encoded(photograph()))}, 400, "image_bytes has the shape (None,)"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(b"text")]}, 415, "The image cannot be read: an upload: no whole picture of a format"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(bomb(60_000, 60_000))]}, 413, "at most 100000 pixels"),
        ({"signature_name": "classes", "instances": [[[[1, 2, 3]]]] * 1001}, 413, "at most 1000 images here. Received: 1001"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(encoded(photograph(size=(250, 300))))] * 2}, 413, "at most 100000 pixels together. Received: 150000"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(bomb(20, 20))]}, 400, "The image cannot be read: "),
    ],
)  # fmt: skip
def test_wrong_json_gets_a_status_and_a_message(port, request_, status, message):
    body = request_ if isinstance(request_, str) else json.dumps(request_)
    answered_status, _, answer = call(port, PREDICT, body.encode("latin1"))
    assert answered_status == status
    assert message in answer["error"]


def test_large_answers_are_refused(monkeypatch):
    monkeypatch.setattr("tfseg.serving.rest._MOST_VALUES", 47)
    with pytest.raises(Refused, match=r"at most 47 values: ask for classes\. Received: 48"):
        rest.check_size([{"logits": np.zeros((1, 3, 4, 4))}])


def test_unknown_models_and_methods_are_refused(port):
    for path in ("/v1/models/other", "/v1/models/colors/versions/2", "/v1/models/other/metadata"):
        status, _, answer = call(port, path)
        assert status == 404
        assert answer["error"].startswith("The model here is colors, version 1. Received: ")
    assert call(port, "/v1/models/other:predict", "{}")[0] == 404
    status, headers, answer = call(port, "/segment")
    assert (status, headers["Allow"], answer) == (405, "POST", {"error": "Method Not Allowed"})


def test_an_array_is_no_longer_than_a_picture_may_be(exported):
    strip = ",".join(["[1,2,3]"] * 65_501)
    with serving(exported) as port:
        status, _, answer = call(port, PREDICT, f'{{"signature_name":"classes","inputs":[[[{strip}]]]}}'.encode())
    assert (status, answer["error"][:47]) == (413, "An image has at most 65500 pixels a side here: ")
