"""tfseg list, as a user runs it."""

from helpers.run_command import finish, run, start

import tfseg
from converters.downloads.published import PUBLISHED
from converters.families import FAMILIES

LIST = "tfseg_cli.list"


def test_list_shows_everything_and_loads_no_framework():
    loaded = (
        "import atexit, sys\natexit.register(lambda: print([m for m in ('keras', 'tensorflow') if m in sys.modules]))"
    )
    result = finish(start(LIST, before=loaded))
    assert result.code == 0, result.err
    words = set(result.out.split())
    assert {
        *tfseg.list_models("backbones"),
        *tfseg.list_models("decoders"),
        *(network.name for family in FAMILIES.values() for network in family.networks),
        *FAMILIES,
        *(row.name for row in PUBLISHED),
        *(row.hash for row in PUBLISHED),
    } <= words
    assert result.out.endswith("[]\n")


def test_list_takes_a_kind_and_a_filter():
    result = run(LIST, "files", "--filter=FCN_resnet50_COCO")
    assert result.code == 0, result.err
    count, head, row, *more = result.out.splitlines()
    assert (count, head.split()[0], more) == ("1 files", "FILE", [])
    assert row.split()[:5] == ["fcn_resnet50_coco-1167a1af", "fcn_resnet50", "135.0", "MiB", "sha256:1167a1af"]


def test_list_refuses_other_kinds_and_says_that_nothing_matches():
    result = run(LIST, "netwroks")
    assert (result.code, "Did you mean networks" in result.err) == (2, True)
    result = run(LIST, "families", "--filter=zzz")
    assert (result.code, result.err) == (1, "tfseg-list: no line has the text 'zzz'\n")
