"""TF Serving's REST API: what it answers, and which requests it refuses."""

import json

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("aiohttp")

from helpers.served import b64, bomb, call, encoded, expected, photograph, predict

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
        ("{", 400, "The request is not JSON: "),
        ("\xff", 400, "The request is not JSON: "),
        ("[" * 100_000, 400, "The request is not JSON: nested too deeply"),
        ('{"inputs": NaN}', 400, "JSON has no number NaN"),
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
        ({"signature_name": "classes_from_bytes", "instances": [b64(b"text")]}, 415, "An image is one of BMP"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(bomb(60_000, 60_000))]}, 413, "at most 100000 pixels"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(encoded(photograph(size=(250, 300))))] * 2}, 413, "at most 100000 pixels together. Received: 150000"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(bomb(20, 20))]}, 400, "The model does not take this input: Invalid PNG data"),
        ({"signature_name": "classes_from_bytes", "instances": [b64(encoded(photograph(size=(9, side)))) for side in (8, 9)]}, 400, "The model does not take this input: PartialTensorShape: Incompatible shapes"),
    ],
)  # fmt: skip
def test_wrong_json_gets_a_status_and_a_message(port, request_, status, message):
    body = request_ if isinstance(request_, str) else json.dumps(request_)
    answered_status, _, answer = call(port, PREDICT, body.encode("latin1"))
    assert answered_status == status
    assert message in answer["error"]


def test_large_answers_are_refused(port, monkeypatch):
    monkeypatch.setattr("tfseg.serving.rest._MOST_VALUES", 47)
    status, _, answer = predict(port, inputs=np.zeros((1, 3, 4, 3)).tolist())
    assert (status, answer["error"]) == (413, "An answer has at most 47 values: ask for classes. Received: 48")


def test_unknown_models_and_methods_are_refused(port):
    for path in ("/v1/models/other", "/v1/models/colors/versions/2", "/v1/models/other/metadata"):
        status, _, answer = call(port, path)
        assert status == 404
        assert answer["error"].startswith("The model here is colors, version 1. Received: ")
    assert call(port, "/v1/models/other:predict", "{}")[0] == 404
    status, headers, answer = call(port, "/segment")
    assert (status, headers["Allow"], answer) == (405, "POST", {"error": "Method Not Allowed"})
