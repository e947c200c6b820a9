"""Texts and what they state: tables by question class, and what answers assert."""

from __future__ import annotations

from tests.harness.reading.reading_cases.assertions import ASSERTIONS
from tests.harness.reading.reading_cases.case import Case
from tests.harness.reading.reading_cases.findings import FINDINGS
from tests.harness.reading.reading_cases.instruments import INSTRUMENTS
from tests.harness.reading.reading_cases.kinds_and_places import KINDS_AND_PLACES
from tests.harness.reading.reading_cases.polyps import POLYPS

FACTS: dict[str, list[Case]] = {**POLYPS, **KINDS_AND_PLACES, **INSTRUMENTS, **FINDINGS}

__all__ = ["ASSERTIONS", "FACTS"]
