"""A short campaign over damaged files of every format; `make fuzz` runs a long one."""

import os

import pytest
from fuzz.campaign import Campaign, judge
from fuzz.inputs import HDF5, MUTATIONS, Seeds
from fuzz.seeds import SEEDS

SECONDS = float(os.environ.get("TFSEG_FUZZ_SECONDS", "20"))
# Their seeds take seconds to write, or a child process reads each of them; the long campaign has them.
SLOW = (*HDF5, "keras_zip", "exported", "onnx", "onnx_external", "family")


def test_every_seed_has_its_mutations():
    assert set(SEEDS) == set(MUTATIONS)


def test_damaged_files_are_read_or_refused(tmp_path):
    campaign = Campaign(tmp_path, [name for name in SEEDS if name not in SLOW])
    assert campaign.run(SECONDS, ("read", "identify"), batch=5) == []
    assert min(campaign.next.values()) > 0


@pytest.mark.full
def test_damaged_files_of_every_format_are_converted_or_refused(tmp_path):
    assert Campaign(tmp_path).run(300) == []


def test_a_campaign_goes_on_where_it_was(tmp_path):
    first = Campaign(tmp_path, ["safetensors"])
    first.run(0.01, ("read",), batch=3)
    again = Campaign(tmp_path, ["safetensors"])
    assert again.next["safetensors"] == first.next["safetensors"] > 0
    assert again.counts == first.counts


def test_an_input_comes_again(tmp_path):
    Campaign(tmp_path, ["tf_v2"])
    seeds = Seeds(tmp_path / "seeds", "tf_v2")
    once, twice = (seeds.write(7, tmp_path / name).read_bytes() for name in ("a", "b"))
    assert once == twice


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ({"kind": "success"}, None),
        ({"kind": "refused"}, None),
        ({"kind": "KeyError"}, "KeyError"),
        ({"kind": "died (-11)"}, r"died (-11)"),
        ({"seconds": 4}, "4.0 s"),
        ({"peak": 200 << 20}, "200 MiB for a file of 1000 bytes"),
    ],
)
def test_what_is_a_finding(answer, wrong):
    good = {"kind": "success", "seconds": 1, "peak": 1 << 20, "size": 1000}
    assert judge("read", good | answer) == wrong
