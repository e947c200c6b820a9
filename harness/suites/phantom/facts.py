"""What is true of a scene, in the dataset's atomic vocabulary: one answer per question class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from gi_bench.harness.suites.phantom.scene import Landmark, Patch, Polyp, Scene
from gi_bench.harness.suites.phantom.shapes import Mask, grid_cells, region_masks
from gi_bench.harness.taxonomy import GRID_CELLS

# Places are read from the exact masks on a grid of this many pixels.
_FACT_SIZE = 64

_ABNORMALITY_COLORS = {"ulcerative colitis": "red; white", "oesophagitis": "red"}
_LANDMARK_COLORS = {"z-line": "red; pink", "pylorus": "pink", "cecum": "pink", "ileum": "pink; yellow"}
# Of what is hidden further than this nobody can say what it is.
_LEAST_VISIBLE = 0.25


_Round = Polyp | Patch | Landmark


def _area(one: _Round) -> float:
    """Pixels that an object covers of the grid of facts if nothing hides any of it."""
    stretch = 1.0 if isinstance(one, Landmark) else one.stretch
    return math.pi * one.radius**2 * stretch * _FACT_SIZE**2


def _pixels(masks: Mapping[str, Mask]) -> int:
    """Visible pixels of all findings and landmarks."""
    return sum(int(mask.sum()) for label, mask in masks.items() if label != "instrument")


@dataclass(frozen=True)
class Facts:
    """Atomic answers of one scene."""

    scene: Scene

    @property
    def seen(self) -> Scene:
        """The scene without findings and landmarks of which less than a quarter is visible."""
        return self._look[0]

    @property
    def cells(self) -> dict[str, tuple[str, ...]]:
        """Grid cells by region label, for what is visible."""
        return self._look[1]

    @cached_property
    def _look(self) -> tuple[Scene, dict[str, tuple[str, ...]]]:
        masks = region_masks(self.scene, _FACT_SIZE)
        seen = self._clear(masks)
        if seen is not self.scene:
            masks = region_masks(seen, _FACT_SIZE)
        cells = {label: tuple(GRID_CELLS[i] for i in grid_cells(mask)) for label, mask in masks.items() if mask.any()}
        return seen, cells

    def _clear(self, masks: Mapping[str, Mask]) -> Scene:
        """The scene without what is hardly visible."""
        scene = self.scene
        rounds = (*scene.polyps, *scene.patches, *((scene.landmark,) if scene.landmark else ()))
        hidden = sum(map(_area, rounds)) - _pixels(masks)
        if not rounds or hidden < (1 - _LEAST_VISIBLE) * 0.8 * min(map(_area, rounds)):
            return scene  # nothing can be hidden so far, and nearly all scenes are such
        polyps = tuple(polyp for polyp in scene.polyps if self._shows(polyp, polyps=(polyp,)))
        patches = tuple(patch for patch in scene.patches if self._shows(patch, patches=(patch,)))
        landmark = scene.landmark
        if landmark is not None and not self._shows(landmark, landmark=landmark):
            landmark = None
        abnormality = scene.abnormality if polyps or patches else "none"
        return replace(scene, polyps=polyps, patches=patches, landmark=landmark, abnormality=abnormality)

    def _shows(self, one: _Round, **alone: Any) -> bool:
        """Whether enough of one object is visible."""
        bare = {"polyps": (), "patches": (), "landmark": None, **alone}
        masks = region_masks(replace(self.scene, **bare), _FACT_SIZE)
        return _pixels(masks) >= _LEAST_VISIBLE * _area(one)

    @property
    def instruments(self) -> tuple[str, ...]:
        """Kinds of instruments, sorted."""
        return tuple(sorted(tool.kind for tool in self.seen.instruments))

    def _place(self, label: str | None) -> str:
        return "; ".join(self.cells[label]) if label in self.cells else "none"

    def atomic(self, slug: str) -> str:
        """The atomic answer of a question class, e.g. ``"none"``, ``"2"``, ``"upper-left; center"``."""
        return self._answers[slug]

    def is_absent(self, slug: str) -> bool:
        """Whether what a question class asks about is not there; "not removed" says that a polyp is."""
        return (slug, self.atomic(slug)) != ("polyp_removal_status", "no") and self.atomic(slug) in ABSENT_ANSWERS

    @cached_property
    def _answers(self) -> dict[str, str]:
        scene = self.seen
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
