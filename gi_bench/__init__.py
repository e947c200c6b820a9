"""gi-bench: an evaluation harness for gastrointestinal visual question answering.

Everything that a user or a plugin needs is a name of this package; what lies deeper may move. The verbs:

    load_suite   a suite by name
    evaluate     runs models on a suite, into run folders
    open_run     a run folder: rows, predictions, scores
    score        makes a run's scores from its stored predictions
    compare      runs against a baseline, with intervals and corrected p-values
    report       a page over some runs

Names load on first use, so that importing the package costs a few milliseconds. ``docs/python.md`` walks through them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gi_bench.links import refuse

if TYPE_CHECKING:
    from gi_bench.harness.analysis.comparing import Comparison
    from gi_bench.harness.analysis.comparison_table import ComparisonTable
    from gi_bench.harness.analysis.study import Study, read_study
    from gi_bench.harness.engine.run import Finished, Settings, evaluate
    from gi_bench.harness.errors import (
        BusyError,
        ChangedError,
        CheckpointError,
        DataError,
        GiBenchError,
        RunError,
        UnfitRunError,
        UnknownNameError,
    )
    from gi_bench.harness.metric_settings import MetricSettings
    from gi_bench.harness.metrics.base import Metric, Statistics, Sums, ratio
    from gi_bench.harness.model import Answer, Ask, BuildContext, GroundAsk, Grounding, Model
    from gi_bench.harness.registry import CommandEntry, ModelEntry, load_plugin, load_suite, registered
    from gi_bench.harness.schema import (
        REPLY_STATES,
        TASKS,
        AtomicPair,
        Manifest,
        MetricInfo,
        Phrase,
        Picture,
        Prediction,
        Question,
        Recipe,
        Region,
        Reply,
        ReplyState,
        Score,
        Scores,
        Task,
    )
    from gi_bench.harness.statistics import Difference
    from gi_bench.harness.store import Run, open_run
    from gi_bench.harness.suites.base import Suite, SuiteEntry
    from gi_bench.harness.suites.specs import Subset, SuiteSpec
    from gi_bench.verbs import compare, report, score

__version__ = "0.1.0"
__all__ = [
    "REPLY_STATES",
    "TASKS",
    "Answer",
    "Ask",
    "AtomicPair",
    "BuildContext",
    "BusyError",
    "ChangedError",
    "CheckpointError",
    "CommandEntry",
    "Comparison",
    "ComparisonTable",
    "DataError",
    "Difference",
    "Finished",
    "GiBenchError",
    "GroundAsk",
    "Grounding",
    "Manifest",
    "Metric",
    "MetricInfo",
    "MetricSettings",
    "Model",
    "ModelEntry",
    "Phrase",
    "Picture",
    "Prediction",
    "Question",
    "Recipe",
    "Region",
    "Reply",
    "ReplyState",
    "Run",
    "RunError",
    "Score",
    "Scores",
    "Settings",
    "Statistics",
    "Study",
    "Subset",
    "Suite",
    "SuiteEntry",
    "SuiteSpec",
    "Sums",
    "Task",
    "UnfitRunError",
    "UnknownNameError",
    "__version__",
    "compare",
    "evaluate",
    "load_plugin",
    "load_suite",
    "open_run",
    "ratio",
    "read_study",
    "registered",
    "report",
    "score",
]

# Where each name lives. Type checkers read the imports above; a test holds the two and __all__ together.
_HOMES = {
    "gi_bench.harness.errors": (
        "BusyError",
        "ChangedError",
        "CheckpointError",
        "DataError",
        "GiBenchError",
        "RunError",
        "UnfitRunError",
        "UnknownNameError",
    ),
    "gi_bench.harness.model": ("Answer", "Ask", "BuildContext", "GroundAsk", "Grounding", "Model"),
    "gi_bench.harness.registry": ("CommandEntry", "ModelEntry", "load_plugin", "load_suite", "registered"),
    "gi_bench.harness.schema": (
        "REPLY_STATES",
        "TASKS",
        "AtomicPair",
        "Manifest",
        "MetricInfo",
        "Phrase",
        "Picture",
        "Prediction",
        "Question",
        "Recipe",
        "Region",
        "Reply",
        "ReplyState",
        "Score",
        "Scores",
        "Task",
    ),
    "gi_bench.harness.suites.base": ("Suite", "SuiteEntry"),
    "gi_bench.harness.suites.specs": ("Subset", "SuiteSpec"),
    "gi_bench.harness.metrics.base": ("Metric", "Statistics", "Sums", "ratio"),
    "gi_bench.harness.metric_settings": ("MetricSettings",),
    "gi_bench.harness.engine.run": ("Finished", "Settings", "evaluate"),
    "gi_bench.harness.store": ("Run", "open_run"),
    "gi_bench.harness.statistics": ("Difference",),
    "gi_bench.harness.analysis.comparing": ("Comparison",),
    "gi_bench.harness.analysis.comparison_table": ("ComparisonTable",),
    "gi_bench.harness.analysis.study": ("Study", "read_study"),
    "gi_bench.verbs": ("compare", "report", "score"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

refuse()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gi_bench' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_HOME[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
