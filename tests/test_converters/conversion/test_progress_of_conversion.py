"""What `convert` says of the bytes that it reads."""

from helpers.paths import EXAMPLES

import converters

SAMPLE = EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth"


def test_the_bytes_of_all_tensors_are_counted_once():
    counts = []
    _, receipt = converters.convert(SAMPLE, progress=lambda *count: counts.append(count))
    total = counts[0][1]
    sizes = {"float16": 2, "float32": 4}
    expected = 0
    for tensor in receipt.tensors:
        size = sizes[tensor["dtype"]]
        for side in tensor["shape"]:
            size *= side
        expected += size
    assert total == expected
    assert (counts[0], counts[-1]) == ((0, total), (total, total))
    assert [done for done, _ in counts] == sorted(done for done, _ in counts)


def test_inside_a_progress_that_is_off_nothing_is_counted(capsys):
    converters.convert(SAMPLE)
    assert capsys.readouterr().err == ""
