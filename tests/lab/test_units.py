"""What a drop-in does to a unit's environment."""

from pathlib import Path

from lab.units import Unit, environment


def test_later_drop_ins_win_and_an_empty_assignment_clears(tmp_path: Path) -> None:
    unit = Unit("containerd", ["/usr/bin/containerd"], {"LANG": "C.UTF-8"})
    folder = tmp_path / "containerd.service.d"
    folder.mkdir()
    (folder / "10.conf").write_text('[Service]\nEnvironment="HTTPS_PROXY=http://a:1" NO_PROXY=b,c\n')
    assert environment(unit, tmp_path) == {"LANG": "C.UTF-8", "HTTPS_PROXY": "http://a:1", "NO_PROXY": "b,c"}
    (folder / "20.conf").write_text("[Service]\nEnvironment=\nEnvironment=HTTPS_PROXY=http://d:2\n")
    assert environment(unit, tmp_path) == {"LANG": "C.UTF-8", "HTTPS_PROXY": "http://d:2"}
