"""Generated protobuf code is what proto/ generates today."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_generated_code_is_fresh(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts/proto", str(tmp_path)], check=True)
    fresh = {p.relative_to(tmp_path): p.read_text() for p in tmp_path.rglob("*.py*") if p.is_file()}
    committed = {
        p.relative_to(ROOT / "agent"): p.read_text()
        for p in (ROOT / "agent/pullwhy/pb").rglob("*.py*")
        if "__pycache__" not in p.parts
    }
    assert fresh == committed, "run `make proto`"
