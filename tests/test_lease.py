"""Which file locks a target; that it locks is in test_kill.py."""

from pathlib import Path

from sparkcoil import lease


def test_a_target_has_one_lock_whichever_link_leads_there(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "table")
    forms = [str(tmp_path / "table"), f"file:{tmp_path}/table", f"file://{tmp_path}/table", str(tmp_path / "link")]
    assert {lease.lock_path(each) for each in forms} == {tmp_path / ".table.sparkcoil-lock"}
