"""Replacing a file: it keeps its mode, its old content and the link to it."""

from pathlib import Path

import pytest

from configs.files.replace_file import replace_file
from trading.errors import Rejected


def test_file_replaced_keeps_its_mode_and_content_and_follows_a_link(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "symbols.yaml"
    target.parent.mkdir()
    target.write_text("before")
    target.chmod(0o640)
    link = tmp_path / "symbols.yaml"
    link.symlink_to(target)

    kept = replace_file(link, before="before", after="after")

    assert (target.read_text(), kept.read_text(), link.is_symlink()) == ("after", "before", True)
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in target.parent.iterdir()) == ["symbols.yaml", "symbols.yaml.bak"]


def test_file_that_was_changed_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "symbols.yaml"
    path.write_text("theirs")

    with pytest.raises(Rejected, match="another process"):
        replace_file(path, before="before", after="after")

    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]
