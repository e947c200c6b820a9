"""The question classes of Kvasir-VQA-x1 and the finding that each one is about.

Every class stands for exactly one atomic question. The slugs and the wording of the atomic questions
(typing errors included) are facts of the dataset ``SimulaMet/Kvasir-VQA-x1`` and have to match it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class QuestionClass:
    """One of the 18 classes.

    Attributes:
        slug: the dataset's name of the class.
        atomic_question: the wording of ``original[].q`` in the dataset.
        finding: what the class asks about: ``polyp``, ``abnormality``, ``instrument``, ``landmark``,
            ``text``, ``box artifact``, or ``None`` for the type of procedure, which is never absent.
        localisable: whether an asserted finding of this class can be shown as a region.
    """

    slug: str
    atomic_question: str
    finding: str | None
    localisable: bool


_ROWS = (
    ("abnormality_color", "What color is the abnormality? If more than one separate with ;", "abnormality"),
    ("abnormality_location", "Where in the image is the abnormality?", "abnormality"),
    (
        "abnormality_presence",
        "Are there any abnormalities in the image? Check all that are present.",
        "abnormality",
    ),
    ("box_artifact_presence", "Is there a green/black box artefact?", "box artifact"),
    ("finding_count", "How many findings are present?", "abnormality"),
    ("finding_presence", "Does this image contain any finding?", "abnormality"),
    ("instrument_count", "How many instrumnets are in the image?", "instrument"),
    ("instrument_location", "Where in the image is the instrument?", "instrument"),
    (
        "instrument_presence",
        "Are there any instruments in the image? Check all that are present.",
        "instrument",
    ),
    (
        "landmark_color",
        "What color is the anatomical landmark? If more than one separate with ;",
        "landmark",
    ),
    ("landmark_location", "Where in the image is the anatomical landmark?", "landmark"),
    (
        "landmark_presence",
        "Are there any anatomical landmarks in the image? Check all that are present.",
        "landmark",
    ),
    ("polyp_count", "How many polyps are in the image?", "polyp"),
    ("polyp_removal_status", "Have all polyps been removed?", "polyp"),
    ("polyp_size", "What is the size of the polyp?", "polyp"),
    ("polyp_type", "What type of polyp is present?", "polyp"),
    ("procedure_type", "What type of procedure is the image taken from?", None),
    ("text_presence", "Is there text?", "text"),
)

QUESTION_CLASSES: dict[str, QuestionClass] = {
    slug: QuestionClass(slug, atomic, finding, finding in {"polyp", "abnormality", "instrument", "landmark"})
    for slug, atomic, finding in _ROWS
}

# The 3 x 3 grid of image locations, row by row.
GRID_CELLS: tuple[str, ...] = (
    "upper-left", "upper-center", "upper-right",
    "center-left", "center", "center-right",
    "lower-left", "lower-center", "lower-right",
)  # fmt: skip

# Labels under which a suite may hold the regions of a finding.
FINDING_LABELS: dict[str, tuple[str, ...]] = {
    "polyp": ("polyp",),
    "abnormality": ("polyp", "ulcerative colitis", "oesophagitis"),
    "instrument": ("instrument",),
    "landmark": ("z-line", "cecum", "pylorus", "ileum"),
}
