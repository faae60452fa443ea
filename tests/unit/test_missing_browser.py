"""A test that needs a browser is skipped on a machine without a usable one, and fails in CI."""

from pathlib import Path

import pytest

from tests.fixtures.servers.chromium import opened


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
@pytest.mark.parametrize("is_stub", [False, True], ids=["none", "one that does not start"])
def test_missing_browser_skips_on_a_laptop_and_fails_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException], *, is_stub: bool
) -> None:
    if is_stub:
        stub = tmp_path / "chromium"
        stub.write_text("#!/bin/sh\necho install the package first >&2\nexit 1\n")
        stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)

    with pytest.raises(outcome, match=r"no browser: .*(does not start|is on PATH)"), opened(tmp_path / "page.html"):
        pass
