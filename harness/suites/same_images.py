"""Which ids of several suites mean one image, so that nothing is learnt from an image and scored on it.

Two ids mean one image if they are spelled alike (folders, endings such as ``.jpg``, case and Unicode form aside), or
if the stored pictures are equal byte for byte. Nearly equal frames are the business of
:mod:`gi_bench.harness.audit.images`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from gi_bench.harness.errors import DataError
from gi_bench.harness.suites.image_ids import PICTURE_ENDINGS

if TYPE_CHECKING:
    from gi_bench.harness.suites.base import Suite


# An image has many rows.
@lru_cache(maxsize=65_536)
def image_key(img_id: str) -> str:
    """An image id without what differs between two spellings of it: folders, endings, case, Unicode form.

    >>> image_key("images/CLB0.JPG") == image_key("clb0")
    True
    """
    name = unicodedata.normalize("NFC", img_id.strip()).replace("\\", "/").rstrip("/").rpartition("/")[2].casefold()
    name = name.partition("?")[0] or name  # what an address says after the file
    while (ending := next((ending for ending in PICTURE_ENDINGS if name.endswith(ending)), None)) and name != ending:
        name = name[: -len(ending)]
    return name


class SameImages:
    """The images of some suites, each with one key over all of them.

    Args:
        suites: their images are compared by id, and by content where pictures are stored. Rendered suites are
            compared by id alone: their splits are drawn from seeds of their own, and rendering them takes long.
    """

    def __init__(self, suites: Iterable[Suite]) -> None:
        self._parent: dict[str, str] = {}
        for suite in dict.fromkeys(suites):
            stored = suite.has_images and not suite.is_embedded
            for img_id in suite.image_ids if stored else ():
                self._join(f"id {image_key(img_id)}", _digest(suite, img_id))

    def key(self, img_id: str) -> str:
        """The image's key; equal for two ids that mean one image. An id of no suite has a key of its own."""
        return self._root(f"id {image_key(img_id)}")

    def _root(self, node: str) -> str:
        while (above := self._parent.get(node, node)) != node:
            node = above
        return node

    def _join(self, first: str, second: str | None) -> None:
        if second is None:
            return
        one, other = self._root(first), self._root(second)
        if one != other:
            self._parent[max(one, other)] = min(one, other)


def _digest(suite: Suite, img_id: str) -> str | None:
    """A node for the stored picture; None where it cannot be read."""
    try:
        return f"bytes {suite.image_digest(img_id)}"
    except DataError:  # whoever looks at the picture tells; an id is enough here
        return None


__all__ = ["SameImages", "image_key"]
