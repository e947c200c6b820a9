"""Who submits: the ``submission_info`` block of the organisers' template, read from ``team.toml``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gi_bench.harness.checking import read_checked
from gi_bench.harness.errors import GiBenchError

EXAMPLE = """\
# Who submits. The organisers read these six fields; the first address is the one that they write to.
Participant_Names = "Ada Example, Ben Example"
Affiliations = "University of Somewhere"
Contact_emails = ["ada@example.org"]
Team_Name = "Example Team"
Country = "Norway"
Notes_to_organizers = ""
"""


@dataclass(frozen=True)
class Team:
    """The six fields of ``SUBMISSION_INFO``, under the organisers' names; only the notes may be empty."""

    Participant_Names: str
    Affiliations: str
    Contact_emails: tuple[str, ...]
    Team_Name: str
    Country: str
    Notes_to_organizers: str = ""

    @staticmethod
    def read(path: Path) -> Team:
        """Read ``team.toml``.

        Raises:
            GiBenchError: the file is missing or damaged, a field is unknown, missing, empty or of another kind.
        """
        do = "write one with: gi-bench submit info -o team.toml"
        found = read_checked(path, Team, do=do)
        for name, value in asdict(found).items():
            values = value if isinstance(value, tuple) else (value,)
            if name != "Notes_to_organizers" and (not values or not all(one.strip() for one in values)):
                raise GiBenchError(f"{name} is empty", where=path, do="fill it in")
        wrong = [address for address in found.Contact_emails if not _is_address(address)]
        if wrong:
            raise GiBenchError(f"{wrong[0]!r} is no e-mail address", where=path, do="mend Contact_emails")
        return found

    def as_dict(self) -> dict[str, Any]:
        """The block as the template writes it."""
        return {**asdict(self), "Contact_emails": list(self.Contact_emails)}


def _is_address(text: str) -> bool:
    name, at, host = text.partition("@")
    return bool(name and at and "." in host.strip(".")) and not any(one.isspace() for one in text)
