"""``SUBMISSION_INFO``: six fields, filled in, and not with an example's values."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

from gi_bench.harness.files import parse_toml
from gi_bench.submissions.check.findings import Findings, shown
from gi_bench.submissions.info import EXAMPLE, Team, _is_address

FIELDS = tuple(one.name for one in fields(Team))
NOTES = "Notes_to_organizers"
# Of the samples in medvqa 0.15.7, whose authors are the organisers themselves.
_EXAMPLES = {
    "Participant_Names": {"Sushant Gautam, Steven Hicks and Vajita Thambawita"},
    "Contact_emails": {"sushant@simula.no", "steven@simula.no"},
    "Team_Name": {"SimulaMetmedVQA Rangers"},
}
_EXAMPLE_NOTES = ("we have finetund xxx model", "we have finetuned xxx model")


def check_info(info: Any, file: str, line: int, found: Findings) -> None:
    """Report fields that are missing, unknown, of another type, empty, or an example's."""
    if not isinstance(info, dict):
        found.add("key-type", f"the team's details are {shown(info)}, and have to be an object", file, line)
        return
    for name in FIELDS:
        if name not in info:
            found.add("info-field", f"{name} is missing", file, line)
        elif name == "Contact_emails":
            _check_addresses(info[name], file, line, found)
        elif not isinstance(info[name], str):
            found.add("info-field", f"{name} is {shown(info[name])}, and has to be a text", file, line)
        elif not info[name].strip() and name != NOTES:
            found.add("info-field", f"{name} is empty", file, line)
        else:
            _check_example(name, info[name], file, line, found)
    for name in info:
        if name not in FIELDS:
            found.add("info-field", f"{shown(name)} is no field; known: {', '.join(FIELDS)}", file, line)


def _check_addresses(value: Any, file: str, line: int, found: Findings) -> None:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        found.add("info-field", "Contact_emails has to be a list of addresses", file, line)
        return
    for one in value:
        if not _is_address(one.strip()):
            found.add("info-field", f"{shown(one)} is no e-mail address", file, line)
        _check_example("Contact_emails", one, file, line, found)


def _check_example(name: str, value: str, file: str, line: int, found: Findings) -> None:
    text = value.strip()
    is_example = text in _EXAMPLES.get(name, ()) or text in _ours().get(name, ())
    if name == NOTES:
        is_example = any(one in " ".join(text.lower().split()) for one in _EXAMPLE_NOTES)
    if is_example:
        found.add("info-example", f"{name}: {shown(text)}", file, line)


@cache
def _ours() -> dict[str, set[str]]:
    """Values of the example that gi-bench gives; a country or a university of that name may be real."""
    example = parse_toml(EXAMPLE)
    return {
        "Participant_Names": {example["Participant_Names"]},
        "Contact_emails": set(example["Contact_emails"]),
        "Team_Name": {example["Team_Name"]},
    }


__all__ = ["FIELDS", "check_info"]
