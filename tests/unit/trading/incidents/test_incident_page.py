"""docs/reference/incidents.md names every kind of incident, and says of each whether it halts its symbol."""

import re
from pathlib import Path

from trading.incidents.incident import IncidentKind

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "incidents.md").read_text(encoding="utf-8")


def test_incident_page_names_each_kind_and_whether_it_halts() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (yes|no) \|", PAGE, flags=re.MULTILINE))
    assert rows == {kind.value: "yes" if kind.halts else "no" for kind in IncidentKind}
