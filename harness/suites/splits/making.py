"""Image-disjoint splits: an image is on one side only, whatever asks about it.

The official split of Kvasir-VQA-x1 is by row, so most of its test images are training images too, and splits made
for one task at a time leak across tasks. Here the images are gathered over all tasks first and then divided once,
by source group and, inside a group, by iterative stratification of what is asked of them.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from gi_bench.harness.checking import checked, parse_json, read_text
from gi_bench.harness.csv_text import read_csv
from gi_bench.harness.errors import DataError, GiBenchError
from gi_bench.harness.files import column_names, content_of, table_in
from gi_bench.harness.suites.base import Suite

Side = Literal["train", "test"]
SIDES: tuple[Side, ...] = ("train", "test")
FORMAT = "gi-bench split 1"
SUFFIXES = (".csv", ".parquet")
_PHRASE_FILE = re.compile(r"(?P<label>.+)_mask_phrases")
# Batches of Kvasir-VQA by the first characters of the image id; the longest prefix that fits decides.
_GROUPS = {
    "clbn": "normal",
    "clbo": "normal",
    "clb0kv": "oesophagitis",
    "clb0lb": "instrument",
    "cl8k": "polyps",
    "cla8": "ulcerative colitis",
}


@dataclass(frozen=True)
class AskedRow:
    """One row of a set, as far as splits and audits need it.

    Attributes:
        img_id: the image asked about.
        tasks: what the row asks: ``answer``, ``explain``, ``ground``; empty if that is not known.
        classes: question classes or the label of the phrase; empty if that is not known.
    """

    img_id: str
    tasks: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ImageUse:
    """All that the gathered sets ask of one image."""

    img_id: str
    tasks: frozenset[str]
    classes: frozenset[str]


@dataclass(frozen=True, order=True)
class Source:
    """A set that a split was made from: its name (no path) and the SHA-256 of its content."""

    fingerprint: str
    name: str


def group_of(img_id: str) -> str:
    """Source batch of an image of Kvasir-VQA by its id; ``other`` for foreign ids.

    >>> group_of("cl8k2u1pm1dw7083203g1b7yv"), group_of("img7")
    ('polyps', 'other')
    """
    for length in (6, 4):
        group = _GROUPS.get(img_id[:length])
        if group is not None:
            return group
    return "other"


def gather(rows: Iterable[AskedRow]) -> list[ImageUse]:
    """Rows of any number of sets as one record per image, sorted by id."""
    tasks: dict[str, set[str]] = defaultdict(set)
    classes: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        tasks[row.img_id] |= row.tasks
        classes[row.img_id] |= row.classes
    return [ImageUse(img_id, frozenset(tasks[img_id]), frozenset(classes[img_id])) for img_id in sorted(tasks)]


def rows_of_suite(suite: Suite) -> list[AskedRow]:
    """Questions and phrases of a suite, in order."""
    rows = []
    for question in suite.questions:
        explains = question.wants_explanation or question.explanation is not None
        tasks = frozenset({"answer", "explain"}) if explains else frozenset({"answer"})
        rows.append(AskedRow(question.img_id, tasks, frozenset(question.question_class)))
    rows.extend(AskedRow(p.img_id, frozenset({"ground"}), frozenset({p.label})) for p in suite.phrases)
    return rows


def rows_of_file(path: Path) -> list[AskedRow]:
    """Rows of a CSV or Parquet file with the column ``img_id``.

    The task comes from the columns: ``exp_ans`` or ``explanation`` alone means explanations, ``mask_id`` (or a file
    of phrases) grounding, anything else with a question or an answer means answers. Classes come from
    ``question_class`` or ``label``, or from a file name such as ``polyps_mask_phrases.csv``.

    Raises:
        DataError: missing, damaged, empty, without ``img_id``, or with an unsafe id.
    """
    from gi_bench.harness.suites.image_ids import check_image_id

    columns, table = _read_table(path)
    if "img_id" not in columns:
        raise DataError(
            "no column img_id",
            where=path,
            do=f"found the columns {', '.join(columns)[:200] or 'none'}; name one img_id",
        )
    if not table:
        raise DataError("no rows", where=path, do="check that the file is complete")
    tasks = _tasks_of(columns, path.stem)
    match = _PHRASE_FILE.fullmatch(path.stem)
    fallback = frozenset({match["label"]}) if match else frozenset()
    first = 2 if path.suffix.lower() == ".csv" else 0
    rows = []
    for number, row in enumerate(table, start=first):
        img_id = check_image_id(row["img_id"], f"{path.name} row {number}")
        value = row.get("question_class") or row.get("label")
        rows.append(AskedRow(img_id, tasks, _classes(value) or fallback))
    return rows


def _tasks_of(columns: Sequence[str], stem: str) -> frozenset[str]:
    if "exp_ans" in columns:
        return frozenset({"explain"})
    if "mask_id" in columns or stem == "phrases" or stem.endswith("_phrases"):
        return frozenset({"ground"})
    return frozenset({"answer"}) if {"question", "answer"} & set(columns) else frozenset()


def _classes(value: object) -> frozenset[str]:
    """Class names out of a list, or out of a text such as ``polyp_type; polyp_size`` or ``["polyp_type"]``."""
    if isinstance(value, str):
        value = re.split(r"[;,|\[\]]", value)
    if not isinstance(value, list):
        return frozenset()
    names = (str(name).strip().strip("'\"") for name in value)
    return frozenset(name for name in names if name)


def _read_table(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Names of all columns, and the rows with at least ``img_id`` and the columns that tell the class."""
    if path.suffix.lower() == ".parquet":
        do = "give a UTF-8 CSV or a whole Parquet file"
        content = content_of(path, do=do, error=DataError)
        table = table_in(content, path, do, DataError, ("img_id", "question_class", "label"))
        return column_names(content), table.to_pylist()
    found = read_csv(path)
    return list(found.columns), list(found.rows)


def file_source(path: Path) -> Source:
    """Name and SHA-256 of a file.

    Raises:
        DataError: the file cannot be read.
    """
    return Source(hashlib.sha256(content_of(path, error=DataError)).hexdigest(), path.name)


def read_sources(names: Sequence[str], load: Callable[[str], Suite]) -> tuple[list[AskedRow], list[Source]]:
    """The rows of suites, and of CSV or Parquet files, and what they came from.

    Args:
        names: a suite's name, or the path of a ``.csv`` or ``.parquet`` file.
        load: gives a suite by its name.

    Raises:
        GiBenchError: a suite is unknown, or files are missing or damaged.
    """
    rows: list[AskedRow] = []
    used: list[Source] = []
    for name in names:
        path = Path(name)
        if path.suffix.lower() in SUFFIXES:
            rows += rows_of_file(path)
            used.append(file_source(path))
        else:
            suite = load(name)
            rows += rows_of_suite(suite)
            used.append(Source(suite.fingerprint, suite.name))
    return rows, used


@dataclass(frozen=True)
class Split:
    """Which image is on which side.

    Attributes:
        sides: ``train`` or ``test`` by image id.
        seed, fraction: how it was made; ``fraction`` is the wanted share of test images.
        sources: the sets that the images came from.
    """

    sides: Mapping[str, Side]
    seed: int
    fraction: float
    sources: tuple[Source, ...] = field(default=())

    def images(self, side: Side) -> tuple[str, ...]:
        """Ids of one side, sorted."""
        return tuple(sorted(img_id for img_id, where in self.sides.items() if where == side))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over seed, fraction, the sources' fingerprints and every image's side; names do not count."""
        digest = hashlib.sha256(f"{FORMAT}\nseed\t{self.seed}\nfraction\t{self.fraction!r}\n".encode())
        for source in sorted(self.sources):
            digest.update(f"source\t{source.fingerprint}\n".encode())
        for img_id in sorted(self.sides):
            digest.update(f"{img_id}\t{self.sides[img_id]}\n".encode())
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write the split as JSON, atomically.

        Raises:
            RunError: the file cannot be written.
        """
        from gi_bench.harness.files import write_json

        content = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "seed": self.seed,
            "fraction": self.fraction,
            "sources": [{"name": s.name, "fingerprint": s.fingerprint} for s in sorted(self.sources)],
            "sides": {side: list(self.images(side)) for side in SIDES},
        }
        write_json(path, content)

    @staticmethod
    def read(path: Path) -> Split:
        """Read a split and check it.

        Raises:
            DataError: missing, of another format, an unknown side, an image twice, an unsafe id, or the
                fingerprint does not fit.
        """
        return split_from_json(read_json(path), path)


def read_json(path: Path) -> Any:
    """Read JSON; a name that occurs twice in one object is refused, since one of the two would be lost.

    Raises:
        DataError: missing, not JSON, or with a name twice.
    """
    do = "give a file of gi-bench split or a list of image ids"
    return parse_json(read_text(path, do, DataError), path, do, DataError)


@dataclass(frozen=True)
class _FileSource:
    """An entry of ``sources``."""

    fingerprint: str
    name: str


@dataclass(frozen=True)
class _File:
    """The keys of a split's file; ids are checked one by one."""

    format: str
    fingerprint: str
    seed: int
    fraction: float
    sources: tuple[_FileSource, ...]
    sides: Mapping[str, tuple[Any, ...]]


def split_from_json(content: Any, where: object) -> Split:
    """Check a split's parsed JSON; see :meth:`Split.read`."""
    from gi_bench.harness.suites.image_ids import check_image_id

    again = "make it again with gi-bench split"
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"not a split of the format {FORMAT!r}", where=where, do=again)
    found = checked(content, _File, where, do=again, error=DataError)
    sources = tuple(Source(one.fingerprint, one.name) for one in found.sources)
    listed = found.sides
    sides: dict[str, Side] = {}
    for name in listed:
        if name not in SIDES:
            raise DataError(f"unknown side {name[:60]!r}", where=where, do=f"sides are {' and '.join(SIDES)}")
    for side in SIDES:
        for img_id in listed.get(side, ()):
            known = check_image_id(img_id, where)
            if known in sides:
                raise DataError(f"image {known} is there twice", where=where, do=again)
            sides[known] = side
    split = Split(sides, found.seed, found.fraction, sources)
    if found.fingerprint != split.fingerprint:
        raise DataError("the split was changed: its fingerprint does not fit", where=where, do=again)
    return split


def check_share(fraction: float) -> None:
    """Refuse a share of test images that is none.

    Raises:
        GiBenchError: it is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise GiBenchError(f"test share {fraction:g}", do="it lies between 0 and 1, e.g. 0.2")


def make_split(
    uses: Iterable[ImageUse],
    *,
    fraction: float = 0.2,
    seed: int = 42,
    sources: Iterable[Source] = (),
    together: Iterable[tuple[str, str]] = (),
) -> Split:
    """Divide images into train and test.

    The result depends on the uses, the fraction and the seed only: not on the order of the input.

    Args:
        uses: what is asked of each image; an image that comes twice counts once, with all that is asked of it.
        fraction: wanted share of test images, between 0 and 1. Every source group gets it to within one image.
        seed: decides among images that are alike.
        sources: where the uses came from, to be written into the split.
        together: pairs of images that have to be on one side, as near-duplicates have; what is linked through others
            is, too. A source group's sides may then miss their sizes by as much as such images are.

    Raises:
        GiBenchError: the fraction is not between 0 and 1.
        DataError: so few images that a side stays empty.
    """
    check_share(fraction)
    images = gather(AskedRow(use.img_id, use.tasks, use.classes) for use in uses)
    groups: dict[str, list[ImageUse]] = defaultdict(list)
    for use in sorted(images, key=lambda use: _lot(seed, use.img_id)):
        groups[group_of(use.img_id)].append(use)
    sizes = _apportion({name: len(members) for name, members in groups.items()}, fraction)
    bound = {img_id: members for members in linked(together) for img_id in members}
    sides: dict[str, Side] = {}
    carried: dict[str, float] = defaultdict(float)
    for name in sorted(groups):
        _divide(groups[name], sizes[name], fraction, carried, _Placed(sides, bound))
    if len(set(sides.values())) < 2:
        raise DataError(
            f"{len(images)} images are too few for a test share of {fraction:g}", do="give more sets, or another share"
        )
    return Split(sides, seed, fraction, tuple(sorted(sources)))


def linked(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Images that pairs link, directly or through others; each group sorted, and the groups by their first image.

    >>> linked([("c", "b"), ("x", "y"), ("a", "b")])
    [('a', 'b', 'c'), ('x', 'y')]
    """
    above: dict[str, str] = {}

    def root(img_id: str) -> str:
        while (parent := above.setdefault(img_id, img_id)) != img_id:
            above[img_id] = above[parent]
            img_id = parent
        return img_id

    for pair in pairs:
        first, second = sorted(map(root, pair))
        above[second] = first
    groups: dict[str, list[str]] = defaultdict(list)
    for img_id in sorted(above):
        groups[root(img_id)].append(img_id)
    return sorted(tuple(members) for members in groups.values() if len(members) > 1)


@dataclass(frozen=True)
class _Placed:
    """Sides so far, and the images that have to be on the side of another."""

    sides: dict[str, Side]
    bound: Mapping[str, tuple[str, ...]]

    def with_it(self, img_id: str) -> tuple[str, ...]:
        """The image and what goes with it."""
        return self.bound.get(img_id, (img_id,))


def _lot(seed: int, img_id: str) -> bytes:
    return hashlib.sha256(f"{seed}\t{img_id}".encode()).digest()


def _apportion(counts: Mapping[str, int], fraction: float) -> dict[str, int]:
    """Test images per group: each within one of its exact share, together the rounded share of all."""
    sizes = {name: math.floor(count * fraction) for name, count in counts.items()}
    left = math.floor(sum(counts.values()) * fraction + 0.5) - sum(sizes.values())
    by_remainder = sorted(counts, key=lambda name: (sizes[name] - counts[name] * fraction, name))
    for name in by_remainder[: max(left, 0)]:
        sizes[name] += 1
    return sizes


def _divide(
    images: Sequence[ImageUse], test_size: int, fraction: float, carried: dict[str, float], placed: _Placed
) -> None:
    """Iterative stratification of one group: the rarest label first, each image where its label is wanted most.

    ``carried`` holds, by label, the test images that earlier groups still owe; so rounding does not add up.
    """
    sides = placed.sides
    room: dict[Side, int] = {"train": len(images) - test_size, "test": test_size}
    labels = {use.img_id: sorted(use.classes | {f"task {task}" for task in use.tasks}) for use in images}
    waiting: dict[str, list[str]] = defaultdict(list)
    for use in images:
        for label in labels[use.img_id]:
            waiting[label].append(use.img_id)
    want: dict[Side, dict[str, float]] = {"train": {}, "test": {}}
    for label, members in waiting.items():
        want["test"][label] = len(members) * fraction + carried[label]
        want["train"][label] = len(members) - want["test"][label]

    def count(img_id: str, side: Side) -> None:
        room[side] -= 1
        for label in labels[img_id]:
            want[side][label] -= 1

    def place(img_id: str, side: Side) -> None:
        for one in placed.with_it(img_id):
            sides[one] = side
            if one in labels:  # else it is of a later group, which counts it when its turn comes
                count(one, side)

    for use in images:
        if use.img_id in sides:  # an earlier group brought it along
            count(use.img_id, sides[use.img_id])
    while waiting:
        rarest = min(waiting, key=lambda label: (len(waiting[label]), label))
        for img_id in waiting.pop(rarest):
            if img_id in sides:
                continue
            size = len(placed.with_it(img_id))
            # Full sides take no more: the size of the group's sides is exact, that of a label as near as it gets.
            needs = {s: (room[s] >= size, want[s][rarest], room[s], s == "train") for s in SIDES}
            place(img_id, max(SIDES, key=lambda s: needs[s]))
        waiting = {label: left for label, ids in waiting.items() if (left := [i for i in ids if i not in sides])}
    for use in images:
        if use.img_id not in sides:  # nothing is known of it
            place(use.img_id, "test" if room["test"] >= len(placed.with_it(use.img_id)) else "train")
    for label, owed in want["test"].items():
        carried[label] = owed


@dataclass(frozen=True)
class Share:
    """Images of one group, class or task on both sides; ``kind`` is ``all``, ``group``, ``class`` or ``task``."""

    kind: str
    name: str
    train: int
    test: int

    @property
    def test_share(self) -> float:
        """Share of test images among them."""
        return self.test / (self.train + self.test)


def shares(split: Split, uses: Iterable[ImageUse]) -> list[Share]:
    """What the split achieved: for all images, each source group, each class and each task."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for use in uses:
        keys = [("all", "images"), ("group", group_of(use.img_id))]
        keys += [("class", name) for name in use.classes] + [("task", name) for name in use.tasks]
        for key in keys:
            counts[key][split.sides[use.img_id]] += 1
    order = ("all", "group", "class", "task")
    return [
        Share(kind, name, counts[kind, name]["train"], counts[kind, name]["test"])
        for kind, name in sorted(counts, key=lambda key: (order.index(key[0]), key[1]))
    ]
