"""What is true of a scene, in the dataset's atomic vocabulary: one answer per question class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from gi_bench.harness.suites.phantom.scene import Scene
from gi_bench.harness.suites.phantom.shapes import grid_cells, region_masks
from gi_bench.harness.taxonomy import GRID_CELLS

# Places are read from the exact masks on a grid of this many pixels.
_FACT_SIZE = 64

_ABNORMALITY_COLORS = {"ulcerative colitis": "red; white", "oesophagitis": "red"}
_LANDMARK_COLORS = {"z-line": "red; pink", "cecum": "pink"}


@dataclass(frozen=True)
class Facts:
    """Atomic answers of one scene."""

    scene: Scene

    @cached_property
    def cells(self) -> dict[str, tuple[str, ...]]:
        """Grid cells by region label, for what is visible."""
        masks = region_masks(self.scene, _FACT_SIZE)
        return {label: tuple(GRID_CELLS[i] for i in grid_cells(mask)) for label, mask in masks.items() if mask.any()}

    @property
    def instruments(self) -> tuple[str, ...]:
        """Kinds of instruments, sorted."""
        return tuple(sorted(tool.kind for tool in self.scene.instruments))

    def _place(self, label: str | None) -> str:
        return "; ".join(self.cells[label]) if label in self.cells else "none"

    def atomic(self, slug: str) -> str:
        """The atomic answer of a question class, e.g. ``"none"``, ``"2"``, ``"upper-left; center"``."""
        return self._answers[slug]

    @cached_property
    def _answers(self) -> dict[str, str]:
        scene = self.scene
        polyp = scene.polyps[0] if scene.polyps else None
        findings = len(scene.polyps) + (1 if scene.patches else 0)
        abnormal = scene.abnormality
        landmark = scene.landmark.kind if scene.landmark else "none"
        color = polyp.color if polyp else _ABNORMALITY_COLORS.get(abnormal, "none")
        return {
            "abnormality_color": color,
            "abnormality_location": self._place(abnormal),
            "abnormality_presence": abnormal,
            "box_artifact_presence": "yes" if scene.box else "no",
            "finding_count": str(findings),
            "finding_presence": "yes" if findings else "no",
            "instrument_count": str(len(scene.instruments)),
            "instrument_location": self._place("instrument"),
            "instrument_presence": "; ".join(self.instruments) or "none",
            "landmark_color": _LANDMARK_COLORS.get(landmark, "none"),
            "landmark_location": self._place(landmark),
            "landmark_presence": landmark,
            "polyp_count": str(len(scene.polyps)),
            "polyp_removal_status": "no" if polyp else "not relevant",
            "polyp_size": polyp.size if polyp else "none",
            "polyp_type": polyp.paris if polyp else "none",
            "procedure_type": scene.procedure,
            "text_presence": "yes" if scene.text else "no",
        }


ABSENT_ANSWERS = frozenset({"none", "no", "0", "not relevant"})
