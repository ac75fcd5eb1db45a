import json

import pytest

from pullwhy.runtime.scrub import scrubbed_config

# As containerd 1.6 and 1.7 show it.
SHOWN = {
    "containerd": {"snapshotter": "native", "runtimes": {}},
    "registry": {
        "configPath": "/certs",
        "mirrors": {"x.example": {"endpoint": ["https://m.example"]}},
        "configs": {
            "x.example": {"auth": {"username": "canary", "password": "canary"}, "tls": None},
            "y.example": {"auth": None, "tls": {"caFile": "/ca"}},
        },
        "auths": {"https://z.example": {"auth": "canary"}},
        "headers": {"X-Token": ["canary"]},
    },
    "sandboxImage": "pause:1",
    "containerdRootDir": "/r",
    "other": "canary",
}


def test_only_the_wanted_settings_remain_and_no_secret() -> None:
    config, hosts = scrubbed_config(json.dumps(SHOWN))
    assert config == {
        "containerd": {"snapshotter": "native"},
        "registry": {"configPath": "/certs", "mirrors": {"x.example": {"endpoint": ["https://m.example"]}}},
        "sandboxImage": "pause:1",
        "containerdRootDir": "/r",
    }
    assert hosts == ("x.example", "z.example")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "[" * 100_000, '{"registry": 3}', '{"registry": {"configs": {"a": 3}}}']
)
def test_whatever_a_runtime_shows_is_survived(text: str) -> None:
    config, hosts = scrubbed_config(text)
    assert config in ({}, {"registry": {}})
    assert hosts == ()
