"""What the arms of studies still see, asked apart from how they say it; kept by arm and seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gi_bench.baselines.registration import VariantDefinition, entry_of
from gi_bench.harness.errors import GiBenchError

if TYPE_CHECKING:
    from gi_bench.baselines.seeing.looking import Seen, Sight
    from gi_bench.baselines.studies.settings import Settings
    from gi_bench.harness.suites.base import Suite

# Images looked at, and images that the probes learn from.
TEST_IMAGES, TRAIN_IMAGES, ROWS = 160, 240, 120


class Eyes:
    """Looks at the networks of a study; what was found of one is kept in a file."""

    def __init__(
        self, folder: Path, settings: Settings, suites: Callable[[], tuple[Suite, Suite]], say: Callable[[str], None]
    ) -> None:
        """Make one.

        Args:
            folder: where files lie.
            settings: of the study.
            suites: gives the suite that is looked at and the one that probes learn from.
            say: called with lines for the user.
        """
        self._folder, self._settings, self._suites, self._say = folder, settings, suites, say
        self._shared: dict[str, Any] = {}

    @cached_property
    def _sight(self) -> Sight:
        from gi_bench.baselines.seeing.looking import Sample, Sight

        test = min(TEST_IMAGES, self._settings.limit or TEST_IMAGES)
        return Sight(*self._suites(), Sample(TRAIN_IMAGES, test, min(ROWS, test), min(ROWS, test)))

    def file(self, place: str) -> Path:
        """Where what was found of a network is kept."""
        return self._folder / f"{place}.json"

    def look(self, place: str, variant: VariantDefinition, adapter: Path | None, run: Path | None) -> None:
        """Look at a network, unless that is done; what the suites have nothing for is said and left out.

        Args:
            place: name of the file.
            variant: whose network it is.
            adapter: its adapter; None for the bare backbone.
            run: its finished run.
        """
        from gi_bench.baselines.seeing.looking import Seen, write_seen
        from gi_bench.harness.store import open_run

        if self.seen(place) is not None:
            return
        model: Any = entry_of(variant).build(self._context(variant, adapter))
        try:
            seen = self._sight.look(model, None if run is None else open_run(run))
        except GiBenchError as error:
            self._say(f"{variant.name}: not looked at: {error}")
            seen = Seen()
        finally:
            model.close()
        write_seen(self.file(place), seen)

    def _context(self, variant: VariantDefinition, adapter: Path | None) -> Any:
        from gi_bench.harness.devices import choose_device, choose_dtype
        from gi_bench.harness.model import BuildContext

        device = choose_device(self._settings.device)
        return BuildContext(
            suite=self._suites()[0],
            device=device,
            dtype=choose_dtype("float32", device, exact=True),
            checkpoint=None if adapter is None else str(adapter),
            backbone=self._settings.backbone,
            beams=self._settings.beams,
            shared=self._shared,
        )

    def seen(self, place: str) -> Seen | None:
        """What was found of a network; None where nobody looked.

        Raises:
            RunError: it is damaged, or was changed after it was kept.
        """
        from gi_bench.baselines.seeing.looking import read_seen

        return read_seen(self.file(place))
