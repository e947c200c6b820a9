"""Who submits: the ``submission_info`` block of the organisers' template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gi_bench.harness.registry import stored_spec
from gi_bench.harness.store import Run
from gi_bench.harness.suites.specs import Subtask


@dataclass(frozen=True)
class Team:
    """The six fields of ``SUBMISSION_INFO``; their names are the organisers'."""

    names: str = ""
    affiliations: str = ""
    emails: tuple[str, ...] = ()
    team: str = ""
    country: str = ""
    notes: str = ""

    def as_dict(self, *remarks: str) -> dict[str, Any]:
        """The block as the template writes it, with remarks added to the notes."""
        notes = "; ".join(text for text in (self.notes, *remarks) if text)
        return {
            "Participant_Names": self.names,
            "Affiliations": self.affiliations,
            "Contact_emails": list(self.emails),
            "Team_Name": self.team,
            "Country": self.country,
            "Notes_to_organizers": notes,
        }


def remark_for(run: Run, task: Subtask) -> str:
    """What has to be said if the run is not on the challenge's own rows; empty if it is."""
    spec = stored_spec(run.suite)
    if spec.edition is not None and spec.subtask == task and not spec.condition and spec.has_all(run.questions):
        return ""
    return f"made on the suite {run.suite} ({len(run.questions)} questions), not on the challenge's rows"
