"""`/segment`: images in, masks and pictures out; which files it reads, and which requests it refuses."""

import base64
import contextlib
import gzip
import http.client
import io
import json
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

import tfseg

pytest.importorskip("tensorflow")
pytest.importorskip("aiohttp")

from helpers.served import CLASSES, COLORS, bomb, call, encoded, expected, photograph

from tfseg.serving import uploads
from tfseg.serving.errors import Refused


def test_an_image_becomes_a_mask_with_a_palette(port):
    image = photograph()
    status, headers, body = call(port, "/segment", encoded(image))
    assert (status, headers["Content-Type"]) == (200, "image/png")
    with Image.open(io.BytesIO(body)) as mask:
        np.testing.assert_array_equal(mask, expected(image))
        assert np.reshape(mask.getpalette(), (-1, 3))[:4].tolist() == COLORS
    assert len(np.unique(expected(image))) == 4


def test_overlay_json_and_npy_show_the_same_classes(port):
    image = photograph()
    classes = expected(image)
    _, headers, body = call(port, "/segment?output=overlay", encoded(image))
    assert headers["Content-Type"] == "image/jpeg"
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.height > 65
    _, _, answer = call(port, "/segment?output=json", encoded(image))
    assert (answer["height"], answer["width"]) == classes.shape
    assert {row["name"]: row["pixels"] for row in answer["classes"]} == dict(
        zip(CLASSES, np.bincount(classes.ravel()).tolist(), strict=True)
    )
    shares = [row["share"] for row in answer["classes"]]
    assert sum(shares) == pytest.approx(1)
    assert shares == sorted(shares, reverse=True)
    _, _, body = call(port, "/segment?output=npy", encoded(image))
    np.testing.assert_array_equal(np.load(io.BytesIO(body)), classes)


def test_classes_are_chosen_by_name_or_number(port):
    image = photograph()
    _, _, body = call(port, "/segment?class=green&class=3", encoded(image))
    with Image.open(io.BytesIO(body)) as mask:
        np.testing.assert_array_equal(mask, np.where(np.isin(expected(image), (1, 3)), 255, 0))
    red = encoded(np.full((4, 5, 3), (250, 0, 0), "uint8"))
    _, _, answer = call(port, "/segment?output=json&class=green&class=red", red)
    assert [(row["name"], row["share"]) for row in answer["classes"]] == [("red", 1), ("green", 0)]


def test_a_png_of_many_chunks_is_refused():
    content, empty = encoded(photograph()), struct.pack(">I4sI", 0, b"juNk", zlib.crc32(b"juNk"))
    for count in (49_000, 50_000):
        start, large = time.process_time(), content[:33] + empty * count + content[33:]
        if count < 50_000:
            assert uploads.count_pixels(large, 10_000) == 65 * 83
            continue
        with pytest.raises(Refused, match="A PNG has at most 50000 chunks here") as caught:
            uploads.count_pixels(large, 10_000)
        assert caught.value.status == 413
        assert time.process_time() - start < 0.2


def test_a_jpeg_of_many_scans_is_refused(port):
    content = encoded(photograph(), "JPEG", progressive=True)
    start, end = content.rindex(b"\xff\xda"), content.rindex(b"\xff\xd9")
    status, _, answer = call(port, "/segment", content[:start] + content[start:end] * 300 + content[end:])
    assert (status, answer["error"][:37]) == (413, "A JPEG has at most 200 scans here: sa")
    assert call(port, "/segment", content)[0] == 200


KINDS = {
    "palette": lambda image: encoded(image.quantize(7)),
    "gray": lambda image: encoded(image.convert("L")),
    "bilevel": lambda image: encoded(image.convert("1")),
    "alpha": lambda image: encoded(image.convert("RGBA")),
    "transparent_palette": lambda image: encoded(image.quantize(7), transparency=3),
    "cmyk": lambda image: encoded(image.convert("CMYK"), "JPEG"),
    "exif": lambda image: encoded(image, "JPEG", exif=turned()),
    "16_bit": lambda image: encoded(Image.fromarray(np.asarray(image.convert("L")).astype("uint16") * 257)),
    "webp": lambda image: encoded(image, "WEBP"),
    "gif": lambda image: encoded(image, "GIF"),
    "tiff": lambda image: encoded(image, "TIFF"),
    "bmp": lambda image: encoded(image, "BMP"),
    "one_pixel": lambda image: encoded(image.resize((1, 1))),
    "20000_wide": lambda image: encoded(image.resize((20_000, 3))),
}


def turned():
    """EXIF data that turns an image by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_is_read_like_read_image(port, kind, tmp_path):
    content = KINDS[kind](Image.fromarray(photograph()))
    (tmp_path / "image").write_bytes(content)
    try:
        wanted = expected(tfseg.read_image(tmp_path / "image"))
    except ValueError:
        wanted = None
    status, _, body = call(port, "/segment?output=npy", content)
    if wanted is None:
        assert (status, body["error"][:26]) == (400, "The image cannot be read: ")
        assert "0x" not in body["error"]
    else:
        np.testing.assert_array_equal(np.load(io.BytesIO(body)), wanted)
        assert kind != "exif" or wanted.shape == (83, 65)


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/segment", b"no image at all", 415, "The image cannot be read: an upload: no whole picture of a format that is read (PNG, JPEG"),
        ("/segment", b"", 415, "Received: an empty file"),
        ("/segment", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "an upload is a PostScript drawing"),
        ("/segment", encoded(photograph())[:300], 400, "The image cannot be read: "),
        ("/segment", encoded(photograph(size=(400, 300))), 413, "at most 100000 pixels here: shrink it. Received: 300 x 400"),
        ("/segment", bomb(10_000, 9_000), 413, "at most 100000 pixels here: shrink it."),
        ("/segment", bomb(60_000, 60_000), 413, "at most 100000 pixels here: shrink it."),
        ("/segment", encoded(np.zeros((1, 70_000, 3), "uint8")), 413, "at most 65500 pixels a side here: cut it into parts. Received: 70000 x 1"),
        ("/segment?output=overlay", encoded(np.zeros((65_500, 1, 3), "uint8")), 413, "ask for a mask"),
        ("/segment", b"x" * 400_001, 413, "A request has at most 400000 bytes here. Received: 400001"),
        ("/segment?output=gif", b"", 400, "The output is one of mask, overlay, json, npy. Received: 'gif'"),
        ("/segment?class=pink", b"", 400, "The model 'colors' has no class 'pink'. It has 0 to 3: red, green"),
        ("/segment?class=4", b"", 400, "has no class '4'"),
        ("/segment?class=red&output=overlay", b"", 400, "chosen with the outputs mask, json, not overlay"),
        ("/nothing", b"", 404, "Not Found"),
    ],
)  # fmt: skip
def test_a_wrong_request_gets_a_status_and_a_message(port, path, body, status, message):
    answered_status, headers, answer = call(port, path, body)
    assert answered_status == status
    assert headers["Content-Type"].startswith("application/json")
    assert message in answer["error"]
    assert call(port, "/health")[2]["requests"] == 0


def test_a_body_without_a_length_is_bounded(port):
    status, _, answer = call(port, "/segment", iter([b"x" * 50_000] * 20))
    assert (status, answer) == (413, {"error": "A request has at most 400000 bytes here. Received: more"})


def test_a_compressed_body_is_bounded_while_it_is_unpacked(port):
    body = gzip.compress(bytes(50_000_000))
    assert len(body) < 60_000
    status, _, answer = call(port, "/segment", body, {"Content-Encoding": "gzip"})
    assert (status, answer) == (413, {"error": "A request has at most 400000 bytes here. Received: more"})


GOOD = encoded(photograph())
DEFLATE = zlib.compress(GOOD)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(GOOD), "gzip"),
        (gzip.compress(GOOD), " GZIP"),
        (DEFLATE, "deflate"),
        (DEFLATE[2:-4], "deflate"),  # without head and checksum
        (GOOD, "identity"),
    ],
)
def test_a_compressed_body_is_answered_as_any_other(port, body, encoding):
    status, _, mask = call(port, "/segment", body, {"Content-Encoding": encoding})
    assert (status, mask) == (200, call(port, "/segment", GOOD)[2])


@pytest.mark.parametrize(
    ("body", "encoding", "status", "message"),
    [
        (b"no such thing" * 50, "gzip", 400, "The body cannot be read: it is not gzip"),
        (b"no such thing" * 50, "deflate", 400, "The body cannot be read: it is not deflate"),
        (b"", "gzip", 400, "The body cannot be read: its gzip is cut off."),
        (b"", "deflate", 400, "The body cannot be read: its deflate is cut off."),
        (gzip.compress(GOOD)[:-9], "gzip", 400, "The body cannot be read: its gzip is cut off."),
        (gzip.compress(GOOD) * 2, "gzip", 400, "The body cannot be read: more follows after the end of its gzip."),
        (GOOD, "br", 415, "The Content-Encoding of a body is gzip or deflate here. Received: br"),
        (GOOD, "gzip, gzip", 415, "The Content-Encoding of a body is gzip or deflate here. Received: gzip, gzip"),
    ],
)
def test_a_body_that_is_not_as_compressed_as_it_says_is_refused(port, body, encoding, status, message, caplog):
    answered_status, _, answer = call(port, "/segment", body, {"Content-Encoding": encoding})
    assert answered_status == status
    assert answer["error"].startswith(message)
    facts = call(port, "/metrics")[2]  # so that what the server logs after the answer is there
    assert "tfseg_held_bytes 0.0" in str(facts)
    assert "Unhandled" not in caplog.text


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP", "PNG"])
def test_frames_count_before_they_are_decoded(port, form):
    frames = [Image.fromarray(photograph(seed, (100, 100))) for seed in range(12)]
    files = [encoded(frames[0], form, save_all=True, append_images=frames[1:count]) for count in (9, 12)]
    assert call(port, "/segment", files[0])[0] == 200
    status, _, answer = call(port, "/segment", files[1])
    assert status == 413
    assert answer["error"].endswith("Received: 100 x 100 in each of 11 frames or more")


def test_an_image_comes_in_json_too(port):
    image = photograph()
    file = {"b64": base64.b64encode(encoded(image)).decode()}
    for body in (file, {"image": file}):
        status, _, answer = call(
            port, "/segment?output=npy", json.dumps(body), {"Content-Type": "application/json; charset=utf-8"}
        )
        assert status == 200
        np.testing.assert_array_equal(np.load(io.BytesIO(answer)), expected(image))
    status, _, answer = call(port, "/segment", "{}", {"Content-Type": "application/json"})
    assert (status, answer) == (400, {"error": 'An image file comes as {"b64": "..."}. Received: {}'})


def test_heic_is_read_where_its_reader_is_installed(port):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    content = encoded(photograph(size=(64, 80)), "HEIF", quality=-1)
    _, _, body = call(port, "/segment?output=npy", content)
    with Image.open(io.BytesIO(content)) as picture:
        np.testing.assert_array_equal(np.load(io.BytesIO(body)), expected(np.asarray(picture)))


def test_the_encodings_of_two_headers_count(port):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
        client.putrequest("POST", "/segment")
        content = encoded(photograph())
        for name, value in (("Content-Encoding", "identity"), ("Content-Encoding", "gzip")):
            client.putheader(name, value)
        client.putheader("Content-Length", str(len(content)))
        client.endheaders(content)
        assert client.getresponse().status == 415
