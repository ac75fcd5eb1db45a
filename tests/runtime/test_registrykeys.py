"""The kubelet's matching, against cases worked out from keyring.go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.image import parse
from pullwhy.runtime.kubelet.registrykeys import comparable, matches, why_not


@pytest.mark.parametrize(
    ("key", "name", "fits"),
    [
        ("*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.eu-west-1.amazonaws.com/app", True),
        ("*.dkr.ecr.*.amazonaws.com", "dkr.ecr.eu-west-1.amazonaws.com/app", False),
        ("*.dkr.ecr.*.amazonaws.com.cn", "1.dkr.ecr.cn-north-1.amazonaws.com/app", False),
        ("*.azurecr.io", "a.b.azurecr.io/app", False),
        ("reg*.example", "reg1.example/app", True),
        ("reg[12].example", "reg1.example/app", True),
        ("reg[^12].example", "reg1.example/app", False),
        ("reg[^12].example", "reg3.example/app", True),
        ("reg[12.example", "reg1.example/app", False),
        ("*", "localhost/app", True),
        ("*", "reg.example/app", False),
        ("*.example:5000", "reg.example:5000/app", True),
        ("*.example:*", "reg.example:5000/app", False),
        ("reg.example/team", "reg.example/team/app", True),
        ("reg.example/team", "reg.example/teams/app", True),
        ("reg.example/team/", "reg.example/teams/app", False),
    ],
)
def test_labels_ports_and_paths(key: str, name: str, fits: bool) -> None:
    assert matches(key, name) is fits


@pytest.mark.parametrize(
    ("image", "written", "why"),
    [
        ("reg.example/a", "https://reg.example/v1", "/v1 without a slash"),
        ("busybox", "https://index.docker.io/v1", "/v1 without a slash"),
        ("busybox", "index.docker.io/library/other", "index.docker.io/v1/"),
        ("busybox", "https://index.docker.io:443/v1/", "index.docker.io/v1/"),
        ("reg.example/a", "REG.example:1", "port is 1"),
        ("reg.example/a", "reg.example", ""),
        ("reg.example/a", "quay.io", ""),
    ],
)
def test_what_looks_meant_for_the_image_is_told_with_the_reason(image: str, written: str, why: str) -> None:
    told = why_not(parse(image), written)
    assert why in told
    assert bool(why) is bool(told)


LABEL = st.text("ab*?[]-!^", min_size=1, max_size=4)


@given(
    st.lists(LABEL, min_size=1, max_size=3), st.sampled_from(["", ":5000"]), st.sampled_from(["", "/", "/v2/", "/v2"])
)
def test_a_key_either_fits_or_never_pretends_to(labels: list[str], port: str, path: str) -> None:
    written = ".".join(labels) + port + path
    image = parse("a.b:5000/x")
    fits = bool(comparable(written)) and matches(comparable(written), image.name)
    assert not (fits and why_not(image, written))
