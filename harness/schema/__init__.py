"""The records that pass between the rooms: the contract of the whole project.

Records are frozen and typed, and each is declared here once: tables (:mod:`gi_bench.harness.tables`) and JSON
(:mod:`gi_bench.harness.files`) are made from its types. What is written to disk carries :data:`SCHEMA_VERSION`. The
version before is migrated in memory when it is read (:mod:`gi_bench.harness.migration`); any other is refused instead
of being guessed at.

In the order of the work: ``rows`` declares what is asked, ``region`` what is shown in an image, ``predictions`` what a
model says, ``runs`` how that came about, ``scores`` what it is worth, ``studies`` what trainings add to a comparison;
``version`` is that of all of it. Everybody else imports from here.
"""

from gi_bench.harness.schema.predictions import REPLY_STATES, Prediction, Reply, ReplyState
from gi_bench.harness.schema.region import Box, Point, Region
from gi_bench.harness.schema.rows import TASKS, AtomicPair, Kind, Phrase, Question, Task
from gi_bench.harness.schema.runs import Code, Counts, Hardware, Manifest, Picture, Recipe, SeenImages, Timing
from gi_bench.harness.schema.scores import MetricInfo, Score, Scores
from gi_bench.harness.schema.studies import WAYS_OF_SEEING, ArmMade, GradientPair, Seeing, WayOfSeeing
from gi_bench.harness.schema.version import READABLE_VERSIONS, SCHEMA_VERSION

__all__ = [
    "READABLE_VERSIONS",
    "REPLY_STATES",
    "SCHEMA_VERSION",
    "TASKS",
    "WAYS_OF_SEEING",
    "ArmMade",
    "AtomicPair",
    "Box",
    "Code",
    "Counts",
    "GradientPair",
    "Hardware",
    "Kind",
    "Manifest",
    "MetricInfo",
    "Phrase",
    "Picture",
    "Point",
    "Prediction",
    "Question",
    "Recipe",
    "Region",
    "Reply",
    "ReplyState",
    "Score",
    "Scores",
    "Seeing",
    "SeenImages",
    "Task",
    "Timing",
    "WayOfSeeing",
]
