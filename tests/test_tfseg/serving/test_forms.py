"""Forms, `multipart/form-data`: which are read, and that their time is that of their bytes."""

import io
import time

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("aiohttp")

from helpers.served import call, encoded, expected, photograph

from tfseg.serving import forms
from tfseg.serving.errors import Refused


def post_form(port, *fields):
    """Posts a form as curl does; a field is its header and its content."""
    body = b"".join(
        f"--x\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in fields
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return call(port, "/segment?output=npy", body + b"--x--\r\n", headers)


def test_a_form_with_a_file_is_segmented(port):
    image = photograph()
    fields = ('name="comment"', b"hello"), ('name="image"; filename="photo.png"', encoded(image))
    _, _, body = post_form(port, *fields)
    np.testing.assert_array_equal(np.load(io.BytesIO(body)), expected(image))


def test_a_form_has_one_file(port):
    field = ('name="image"; filename="photo.png"', encoded(photograph()))
    message = "A form has one file, as in curl --form image=@photo.jpg. Received: 2"
    assert post_form(port, field, field)[::2] == (400, {"error": message})


def test_an_incomplete_form_is_refused(port):
    status, _, answer = call(port, "/segment", b"--x\r\nbroken", {"Content-Type": "multipart/form-data; boundary=x"})
    assert (status, answer) == (400, {"error": "The form cannot be read: a part of it is not whole"})


FIELD = b'--x\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\n'


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (FIELD * 3000 + b"--x--", "it has more than 100 parts"),
        (b"\n" * 300_000, "its boundary is nowhere in it"),
        (FIELD + b"never ends", "a part of it is not whole"),
    ],
    ids=["parts", "preamble", "end"],
)
def test_a_form_takes_no_more_time_than_its_bytes(form, reason):
    start = time.process_time()
    with pytest.raises(Refused, match=f"The form cannot be read: {reason}"):
        forms.file_of(form, "multipart/form-data; boundary=x")
    assert time.process_time() - start < 0.1


def test_heads_of_parts_take_no_more_time_than_their_bytes():
    head = b'--x\r\nContent-Disposition: form-data; filename=a; "' + b";" * 16_300
    form = (head + b"\r\n\r\nx\r\n") * 99 + b"--x--"
    start = time.process_time()
    with pytest.raises(Refused, match="A form has one file"):
        forms.file_of(form, "multipart/form-data; boundary=x")
    assert time.process_time() - start < 1


ODD = "a*" + "9" * 5000


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (f"text/plain; {ODD}=x", 200),
        (f"multipart/form-data; boundary=x; {ODD}=x", 400),
        *(
            (f"multipart/form-data; boundary*={value}", 400)
            for value in (
                "utf-7''+2AA-",
                "undefined''x",
                "idna''x",
                "punycode''x",
                "utf-16''%00%d8",
                "unicode_escape''%5c",
            )
        ),
        ("multipart/form-data; boundary=", 400),
        ('multipart/form-data; boundary="', 400),
    ],
    ids=str,
)
def test_content_types_of_any_form_are_read_or_refused(port, content_type, status):
    assert call(port, "/segment", encoded(photograph()), {"Content-Type": content_type})[0] == status


def test_a_part_with_an_odd_name_is_a_file(port):
    head = f"--x\r\nContent-Disposition: form-data; name=image; filename{ODD[1:]}=a\r\n\r\n".encode()
    status, _, answer = call(
        port, "/segment", head + b"x\r\n--x--", {"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert status == 415
    assert "no whole picture" in answer["error"]


def test_forms_of_all_clients_are_read():
    name = 'name="a"; filename="größe.png"'.encode()
    for head, boundary in ((name, "x"), (b"name=a; filename*=UTF-8''gr%C3%B6.png", "'x'"), (name, '"a: b"')):
        mark = b"--" + boundary.strip('"').encode()
        form = b"before\r\n" + mark + b" \r\nContent-Disposition: form-data; " + head
        form += b"\r\nContent-Type: image/png\r\n\r\n\r\n--\r\nfile\r\n" + mark + b"--\r\nafter"
        assert forms.file_of(form, f"multipart/form-data; boundary={boundary}") == b"\r\n--\r\nfile"


def test_a_form_is_bounded(port):
    assert post_form(port, ('name="image"; filename="photo.png"', b"x" * 500_000))[0] == 413
