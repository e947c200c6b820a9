"""Asks one network the same thing in five ways, so that a forgotten format is not read as lost sight.

Where a finding is can be stated in words, written as a region, drawn out of the decoder by allowing it nothing but
regions, and read off the features by a straight line; whether it is there at all by another line. All networks are
asked about the same images and rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gi_bench.baselines.seeing.blind import blind_regions, blind_words
from gi_bench.baselines.seeing.measures import Measured, places, regions_right, words_right
from gi_bench.baselines.seeing.probes import LEAST, Features, Probed, pool, probe_cells, probe_presence
from gi_bench.baselines.seeing.truth import Truth, evenly, truth_of
from gi_bench.harness.checking import checked
from gi_bench.harness.engine.execute import BatchSize, in_batches
from gi_bench.harness.errors import ChangedError, DataError, GiBenchError, RunError
from gi_bench.harness.files import read_json, write_json
from gi_bench.harness.model import Ask, GroundAsk, Grounding
from gi_bench.harness.schema import Phrase, Question, Region, Seeing, WayOfSeeing
from gi_bench.harness.store import content_digest
from gi_bench.harness.suites.base import Suite
from gi_bench.harness.suites.same_images import SameImages

if TYPE_CHECKING:
    from PIL.Image import Image

    from gi_bench.baselines.florence2.model import Florence2Model
    from gi_bench.harness.store import Run

_AT_ONCE = 32


@dataclass(frozen=True)
class Sample:
    """How much is looked at.

    Attributes:
        train_images: images that the probes learn from.
        test_images: images that everything is measured on; a run's answers count on all of its images.
        phrases: phrases that are shown, at most one an image and label.
        questions: questions about a place that are asked, where no run has answered them.
    """

    train_images: int = 300
    test_images: int = 200
    phrases: int = 150
    questions: int = 150


@dataclass(frozen=True)
class Seen:
    """What one network showed; None where the suite has nothing to measure it on.

    Attributes:
        words: share of places of visible findings that the answers state cell by cell.
        written: mean IoU of regions as the network writes them.
        forced: mean IoU on the same phrases with a decoder that can write nothing but regions.
        presence, cells: linear probes of the vision features.
    """

    words: Measured | None = None
    written: Measured | None = None
    forced: Measured | None = None
    presence: Probed | None = None
    cells: Probed | None = None

    def rows(self, arm: str, seed: int | None) -> tuple[Seeing, ...]:
        """The same as rows of a study; what could not be measured has none."""
        found: tuple[tuple[WayOfSeeing, Measured | Probed | None], ...] = (
            ("place in words", self.words),
            ("region as written", self.written),
            ("region, locations forced", self.forced),
            ("probe: presence", self.presence),
            ("probe: cell", self.cells),
        )
        return tuple(
            Seeing(arm, seed, what, one.value, one.low, one.high, one.n) for what, one in found if one is not None
        )


def write_seen(path: Path, seen: Seen) -> None:
    """Keep what a network showed."""
    content = asdict(seen)
    write_json(path, content | {"digest": content_digest(content)})


def read_seen(path: Path) -> Seen | None:
    """What a network showed, of :func:`write_seen`; None where it is not there, or an earlier version kept it.

    Raises:
        RunError: it is damaged, or was changed after it was kept.
    """
    if not os.path.lexists(path):
        return None
    do = "delete it, and it is made again"
    content = read_json(path, do)
    if not isinstance(content, dict):
        raise RunError("not what was found of a network", where=path, do=do)
    digest = content.pop("digest", None)
    if digest not in (None, content_digest(content)):
        raise ChangedError("the file was changed after it was made: its SHA-256 is another", where=path, do=do)
    found = checked(content, Seen, path, do=do, error=RunError)
    return None if digest is None else found


class Sight:
    """The images and rows on which networks are compared.

    Args:
        suite: what is measured on.
        train_suite: what probes and floors learn from: from its images that are none of those looked at.
        sample: how much of them.
        say: called with a line for the user now and then.

    Raises:
        GiBenchError: a suite has no images.
    """

    def __init__(
        self,
        suite: Suite,
        train_suite: Suite,
        sample: Sample = Sample(),
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._suite, self._train_suite, self._sample, self._say = suite, train_suite, sample, say
        for one in (suite, train_suite):
            if not one.has_images:
                raise GiBenchError(f"{one.name} has no images here to look at", do="give --data a folder with images/")
        self._key = SameImages([suite, train_suite]).key

    @cached_property
    def _test_ids(self) -> tuple[str, ...]:
        return evenly(self._suite.image_ids, self._sample.test_images)

    @cached_property
    def _taught(self) -> Mapping[str, str]:
        """Images that may teach, by key: none of them is looked at."""
        looked_at = {self._key(img_id) for img_id in self._test_ids}
        keys = {self._key(img_id): img_id for img_id in self._train_suite.image_ids}
        found = {key: img_id for key, img_id in keys.items() if key not in looked_at}
        if len(found) < 2 * LEAST:
            raise GiBenchError(
                f"{len(found)} of the {len(keys)} images of {self._train_suite.name} are none of those looked at: too "
                "few to learn from",
                do="look at fewer images, or give another --train-suite",
            )
        return found

    @cached_property
    def _train_ids(self) -> tuple[str, ...]:
        return evenly(self._taught.values(), self._sample.train_images)

    @cached_property
    def _truths(self) -> tuple[Truth, Truth]:
        """Of the training images and of the test images."""
        taught, wanted = truth_of(self._train_suite, self._train_ids), truth_of(self._suite, self._test_ids)
        if not (taught.present.keys() & wanted.present.keys() or taught.cells.keys() & wanted.cells.keys()):
            raise DataError(
                f"nothing tells of one finding in images of both {self._suite.name} and {self._train_suite.name}",
                do="use suites with regions or with atomic answers",
            )
        return taught, wanted

    @cached_property
    def _phrases(self) -> tuple[Phrase, ...]:
        """Phrases about what is there, one an image and label."""
        chosen = frozenset(self._test_ids)
        found: dict[tuple[str, str], Phrase] = {}
        for phrase in self._suite.phrases:
            if phrase.img_id in chosen and not phrase.is_negative and phrase.region is not None and phrase.region.area:
                found.setdefault((phrase.img_id, phrase.label), phrase)
        return evenly(found.values(), self._sample.phrases)

    @cached_property
    def _questions(self) -> tuple[Question, ...]:
        """Questions about the place of something that is there."""
        chosen = frozenset(self._test_ids)
        rows = (row for row in self._suite.questions if row.img_id in chosen and any(True for _ in places(row)))
        return evenly(rows, self._sample.questions)

    def look(self, model: Florence2Model, run: Run | None = None) -> Seen:
        """Ask a network in all five ways.

        Args:
            model: in the state that is asked about.
            run: its stored answers and regions; without them the model is asked.

        Raises:
            GiBenchError: the run is of other rows, an image is missing, nothing tells what is in the images, or the
                tokenizer has no locations.
        """
        if run is not None and run.fingerprint != self._suite.fingerprint:
            raise GiBenchError(
                f"the run is of other rows than {self._suite.name}", where=run.path, do="use a run of this suite"
            )
        taught, wanted = self._truths
        size = BatchSize(model.batch_size)
        asked = {row.img_id for row in self._phrases} | {row.img_id for row in self._questions}
        self._say(f"encoding {len(self._train_ids)} images to learn from and {len(self._test_ids)} to look at")
        learnt, _ = self._encoded(model, self._train_suite, self._train_ids, set())
        tested, features = self._encoded(model, self._suite, self._test_ids, asked)
        self._say(f"showing {len(self._phrases)} phrases")
        return Seen(
            self._words(model, features, size, run),
            regions_right(self._phrases, self._written(model, features, size, run)),
            regions_right(self._phrases, self._grounded(model.ground_forced, features, size)),
            probe_presence(learnt, taught, tested, wanted),
            probe_cells(learnt, taught, tested, wanted),
        )

    def floors(self, run: Run | None = None) -> Seen:
        """What somebody gets on the same rows who never looks; probes have .5 by themselves.

        Args:
            run: as for :meth:`look`.
        """
        known = frozenset(self._taught.values())
        phrases = [row for row in self._train_suite.phrases if row.img_id in known]
        questions = [row for row in self._train_suite.questions if row.img_id in known]
        regions = blind_regions(phrases, self._phrases)
        return Seen(blind_words(questions, self._asked(run)), regions, regions)

    def _asked(self, run: Run | None) -> Sequence[Question]:
        """Questions whose answers count: those of a run about images that teach nothing, else a sample."""
        if run is None or not any(one.answer is not None for one in run.predictions.values()):
            return self._questions
        # A run that was cut short has no word on the other rows.
        answered = [row for row in run.questions if ("question", row.index) in run.predictions]
        return [row for row in answered if self._key(row.img_id) not in self._taught]

    def _encoded(
        self, model: Florence2Model, suite: Suite, img_ids: Sequence[str], kept: Container[str]
    ) -> tuple[Features, dict[str, Any]]:
        """Pooled features of images, and the features themselves of those that are asked about."""
        whole, cells, features = [], [], {}
        size = BatchSize(_AT_ONCE)
        for start in range(0, len(img_ids), _AT_ONCE):
            chosen = img_ids[start : start + _AT_ONCE]
            pictures: list[Image] = [suite.load_image(img_id) for img_id in chosen]
            for img_id, found in zip(chosen, in_batches(pictures, model.encode, size), strict=True):
                pooled = pool(found.float().cpu().numpy())
                whole.append(pooled[0])
                cells.append(pooled[1])
                if img_id in kept:
                    features[img_id] = found
        return Features(tuple(img_ids), np.stack(whole), np.stack(cells)), features

    def _words(
        self, model: Florence2Model, features: Mapping[str, Any], size: BatchSize, run: Run | None
    ) -> Measured | None:
        rows = self._asked(run)
        if run is not None and rows is not self._questions:
            stored = {row.index: run.predictions.get(("question", row.index)) for row in rows}
            return words_right(rows, {index: one.answer or "" for index, one in stored.items() if one is not None})
        asks = [
            Ask(row.index, row.img_id, row.question, row.question_class, row.complexity, row.options) for row in rows
        ]
        said = in_batches(asks, lambda some: model.answer([features[ask.img_id] for ask in some], some), size)
        return words_right(rows, {ask.index: one.text for ask, one in zip(asks, said, strict=True)})

    def _written(
        self, model: Florence2Model, features: Mapping[str, Any], size: BatchSize, run: Run | None
    ) -> dict[int, tuple[Region, ...]]:
        if run is not None:
            stored = {phrase.index: run.predictions.get(("phrase", phrase.index)) for phrase in self._phrases}
            shown = {index: one.regions for index, one in stored.items() if one is not None and one.regions is not None}
            if len(shown) == len(self._phrases):  # a run that was cut short has other rows than the forced regions
                return shown
        return self._grounded(model.ground, features, size)

    def _grounded(
        self,
        ground: Callable[[Sequence[Any], Sequence[GroundAsk]], Sequence[Grounding]],
        features: Mapping[str, Any],
        size: BatchSize,
    ) -> dict[int, tuple[Region, ...]]:
        asks = [
            GroundAsk(row.img_id, row.phrase, row.label, row.region.width, row.region.height, row.index)
            for row in self._phrases
            if row.region is not None
        ]
        found = in_batches(asks, lambda some: ground([features[ask.img_id] for ask in some], some), size)
        return {row.index: one.regions for row, one in zip(self._phrases, found, strict=True)}
