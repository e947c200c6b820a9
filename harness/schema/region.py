"""A region of an image: a mask with a label, and what it was given as."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gi_bench.harness.schema.version import ADDED

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# (x1, y1, x2, y2) in pixels, x2 and y2 exclusive; (x, y) in pixels. Both may fall between pixels.
Box = tuple[float, float, float, float]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Region:
    """A binary mask of one image with a label, stored as COCO run-length code.

    A model may give a mask, a box (:meth:`from_box`) or a point (:meth:`from_point`). The mask is what is scored, and
    it is always there; a box or a point is kept beside it as it was given.

    Attributes:
        label: what the region shows, e.g. ``polyp``.
        height, width: size of the image in pixels.
        counts: COCO compressed run-length code (column-major), as text.
        score: confidence in [0, 1] where the model gives one.
        given_box: the box that the model gave; None if it gave none.
        given_point: the point that the model gave; None if it gave none.
    """

    label: str
    height: int
    width: int
    counts: str
    score: float | None = None
    given_box: Box | None = field(default=None, metadata=ADDED)
    given_point: Point | None = field(default=None, metadata=ADDED)

    @staticmethod
    def from_mask(label: str, mask: npt.NDArray[Any], score: float | None = None) -> Region:
        """Encode a mask of shape (height, width); non-zero pixels belong to the region."""
        import numpy as np
        from pycocotools import mask as coco

        code = coco.encode(np.asfortranarray(mask != 0).astype(np.uint8, order="F"))
        height, width = mask.shape
        return Region(label, int(height), int(width), code["counts"].decode("ascii"), score)

    @staticmethod
    def from_box(label: str, box: Box, height: int, width: int, score: float | None = None) -> Region:
        """A region given as a box; its mask holds the pixels whose centres lie inside.

        Args:
            label: what it shows.
            box: (x1, y1, x2, y2) in pixels, x2 and y2 exclusive; what lies outside the image is cut off the mask.
            height, width: size of the image in pixels.
            score: confidence in [0, 1].

        Raises:
            ValueError: a corner is no number, or the second lies before the first.

        >>> Region.from_box("polyp", (1, 1, 3, 2), 4, 4).area
        2
        """
        from dataclasses import replace

        import numpy as np

        corners = tuple(float(value) for value in box)
        if len(corners) != 4 or not np.isfinite(corners).all() or corners[2] < corners[0] or corners[3] < corners[1]:
            raise ValueError(f"not a box (x1, y1, x2, y2): {box}")
        mask = np.zeros((height, width), dtype=bool)
        left, top, right, bottom = np.clip(np.ceil(np.array(corners) - 0.5), 0, [width, height] * 2).astype(int)
        mask[top:bottom, left:right] = True
        return replace(Region.from_mask(label, mask, score), given_box=corners)

    @staticmethod
    def from_point(label: str, point: Point, height: int, width: int, score: float | None = None) -> Region:
        """A region given as a point; its mask is the one pixel under it.

        Raises:
            ValueError: the point is no pair of numbers, or lies outside the image.

        >>> Region.from_point("polyp", (1.5, 0), 4, 4).box()
        (1, 0, 2, 1)
        """
        from dataclasses import replace

        import numpy as np

        place = tuple(float(value) for value in point)
        if len(place) != 2 or not (0 <= place[0] < width and 0 <= place[1] < height):
            raise ValueError(f"not a point (x, y) of an image of {width} x {height} pixels: {point}")
        mask = np.zeros((height, width), dtype=bool)
        mask[int(place[1]), int(place[0])] = True
        return replace(Region.from_mask(label, mask, score), given_point=place)

    def mask(self) -> npt.NDArray[np.bool_]:
        """The mask as booleans of shape (height, width).

        Raises:
            ValueError: the run-length code does not describe height x width pixels.
        """
        import numpy as np
        from pycocotools import mask as coco

        return np.ascontiguousarray(coco.decode(self._code())).astype(bool)

    def check(self) -> None:
        """Refuse a run-length code that nothing should decode.

        Raises:
            ValueError: the run-length code does not describe height x width pixels.
        """
        from gi_bench.harness.run_lengths import check_code

        check_code(self.counts, self.height, self.width)

    def _code(self) -> dict[str, Any]:
        """The run-length code as pycocotools takes it, which checks nothing itself."""
        self.check()
        return {"size": [self.height, self.width], "counts": self.counts.encode("ascii")}

    @property
    def area(self) -> int:
        """Number of pixels in the region.

        Raises:
            ValueError: the run-length code does not describe height x width pixels.
        """
        from pycocotools import mask as coco

        return int(coco.area(self._code()))

    def box(self) -> tuple[int, int, int, int] | None:
        """Smallest box around the region as (x1, y1, x2, y2) in pixels, x2/y2 exclusive; None if empty.

        Raises:
            ValueError: the run-length code does not describe height x width pixels.
        """
        from pycocotools import mask as coco

        if self.area == 0:
            return None
        x, y, w, h = (int(v) for v in coco.toBbox(self._code()))
        return x, y, x + w, y + h
