"""The code behind a run: in the manifest, refused where an unfinished run changed hands, told beside the scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gi_bench.harness import provenance, registry
from gi_bench.harness.engine import code as module
from gi_bench.harness.engine.run import Finished, Settings, evaluate
from gi_bench.harness.errors import GiBenchError, RunError
from gi_bench.harness.schema import Code
from gi_bench.harness.store import open_run
from gi_bench.harness.suites.phantom.suite import PhantomSuite

PLUGIN = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent))
import {helper}
from gi_bench import Answer, Grounding, ModelEntry, Region

class Parrot:
    tasks = frozenset({{"answer", "ground", "explain"}})
    needs_image = False
    settings = {{"kind": "parrot"}}
    batch_size = 8
    prompts = {{"answer": "say: {{question}}"}}
    fails = {fails}

    def answer(self, features, asks):
        if self.fails:
            raise MemoryError
        assert features == [None] * len(asks)
        return [Answer("a polyp " + {helper}.WORD) for ask in asks]

    def ground(self, features, asks):
        return [Grounding((Region.from_box(ask.label, (0, 0, 9, 9), ask.height, ask.width),)) for ask in asks]

    def explain(self, features, asks, answers):
        return [Answer("because") for ask in asks]

    def encode(self, images):
        raise AssertionError("never called")

    def close(self):
        pass

MODELS = [ModelEntry("parrot", "says one thing", ("answer", "ground", "explain"), lambda context: Parrot())]
"""


class Plugin:
    """A plugin file with a module beside it, loaded anew as another process would."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.output, self.helper = folder / "plugin", folder / "runs", "parrot_words"
        self.folder.mkdir()
        self.write()

    def write(self, *, word: str = "here", fails: bool = False, comment: str = "") -> None:
        (self.folder / f"{self.helper}.py").write_text(f"WORD = {word!r}\n")
        (self.folder / "parrot.py").write_text(PLUGIN.format(helper=self.helper, fails=fails) + comment)

    def run(self, **settings: object) -> Finished:
        import importlib
        import sys

        sys.modules.pop(self.helper, None)
        importlib.invalidate_caches()
        registry.load_plugin(self.folder / "parrot.py")
        self.said: list[str] = []
        chosen = Settings(limit=6, device="cpu", **settings)  # type: ignore[arg-type]
        (done,) = evaluate(["parrot"], PhantomSuite("validation", 2), output=self.output, settings=chosen,
                           say=self.said.append)  # fmt: skip
        return done


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugin]:
    import sys

    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Plugin(tmp_path)
    yield made
    for name in [name for name in sys.modules if name.startswith(("gi_bench_plugin_parrot", made.helper))]:
        del sys.modules[name]
    registry._plugin_entries["gi_bench.models"].clear()


def test_the_manifest_says_which_code_it_was(plugin: Plugin) -> None:
    done = plugin.run(command="gi-bench run -m parrot")
    code = open_run(done.path).manifest.code
    assert code.package == provenance.package_digest()
    assert sorted(code.plugins) == ["parrot.py", "parrot_words.py"]
    assert code.command == "gi-bench run -m parrot"
    assert code.prompts == {"answer": "say: {question}"}
    assert code.commit == provenance.git_commit()
    assert open_run(done.path).manifest.remarks == ()


def test_a_finished_run_of_an_edited_plugin_is_flagged(plugin: Plugin) -> None:
    first = plugin.run()
    plugin.write(word="there")
    again = plugin.run()
    assert again.path == first.path
    (note,) = set(again.scores.notes) - set(first.scores.notes)
    assert note.startswith("predictions were made by other code than is here now: parrot_words.py (")
    assert any(note in line for line in plugin.said)
    assert not any("already done" in line for line in plugin.said)
    assert open_run(again.path).manifest.code.plugins == open_run(first.path).manifest.code.plugins
    plugin.write()
    assert plugin.run().scores.notes == first.scores.notes, "and no longer where the code is back"


def test_an_unfinished_run_of_other_code_is_refused(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin.write(fails=True)
    with pytest.raises(GiBenchError, match="out of memory"):
        plugin.run()
    plugin.write(fails=False)
    with pytest.raises(RunError, match=r"the run was begun by other code: parrot\.py \(") as refused:
        plugin.run()
    assert "--accept-changed" in refused.value.do
    done = plugin.run(accept_changed=True)
    assert any(note.startswith("predictions of this run are of code of several versions") for note in done.scores.notes)
    assert open_run(done.path).manifest.complete


def test_another_gi_bench_is_other_code(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    first = plugin.run()
    monkeypatch.setattr(provenance, "package_digest", lambda: "f" * 64)
    monkeypatch.setattr(module, "__version__", "9.9")
    (note,) = set(plugin.run().scores.notes) - set(first.scores.notes)
    assert "gi-bench 0.1.0, now 9.9 (" in note


def test_a_run_that_does_not_say_is_believed() -> None:
    now = Code("1", "a" * 64, {"p.py": "b" * 64})
    assert module.changes(Code(), now) == []
    assert module.changes(now, now) == []
    assert module.changes(now, replace(now, plugins={})) == ["p.py (gone)"]
    assert module.changes(replace(now, plugins={}), now) == ["p.py (new)"]


@pytest.mark.parametrize("kind", ["branch", "packed", "detached", "work tree", "none"])
def test_the_commit_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    commit, top = "c" * 40, tmp_path / "project" / "gi_bench"
    git = tmp_path / "repository" if kind == "work tree" else tmp_path / "project" / ".git"
    top.mkdir(parents=True)
    if kind != "none":
        (git / "refs" / "heads").mkdir(parents=True)
        (git / "HEAD").write_text(commit if kind == "detached" else "ref: refs/heads/main\n")
    if kind == "branch":
        (git / "refs" / "heads" / "main").write_text(commit + "\n")
    elif kind == "packed":
        (git / "packed-refs").write_text(f"# pack-refs\n{'d' * 40} refs/heads/other\n{commit} refs/heads/main\n")
    elif kind == "work tree":
        own = git / "worktrees" / "one"
        own.mkdir(parents=True)
        (own / "HEAD").write_text("ref: refs/heads/main\n")
        (own / "commondir").write_text("../..\n")
        (git / "refs" / "heads" / "main").write_text(commit + "\n")
        (tmp_path / "project" / ".git").write_text(f"gitdir: {own}\n")
    monkeypatch.setattr(provenance, "_TOP", top)
    provenance.git_commit.cache_clear()
    try:
        assert provenance.git_commit() == ("" if kind == "none" else commit)
    finally:
        provenance.git_commit.cache_clear()
