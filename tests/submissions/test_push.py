"""The upload, with a Hub in memory: what is told before, what is sent, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.command_line import CommandLine, Done
from tests.submissions.challenge_folders import Challenge

REPO = "inga/fjord"


@dataclass
class Hub:
    """What ``HfApi`` is asked for; every change is noted in ``calls``."""

    kinds: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    is_private: bool = True
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    commits: list[dict[str, bytes]] = field(default_factory=list)
    error: Exception | None = None

    def whoami(self, token: str) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        assert token == "hf_test"
        return {"name": "inga", "orgs": [{"name": "fjordlab"}]}

    def repo_exists(self, repo: str, repo_type: str) -> bool:
        return self.kinds.get(repo) == repo_type

    def model_info(self, repo: str) -> SimpleNamespace:
        siblings = [SimpleNamespace(rfilename=name) for name in self.files]
        return SimpleNamespace(siblings=siblings, private=self.is_private, sha="a" * 40)

    def create_repo(self, repo: str, *, repo_type: str, private: bool, exist_ok: bool) -> None:
        self.calls.append(("create", repo, repo_type, private, exist_ok))

    def update_repo_settings(self, repo: str, *, private: bool, repo_type: str) -> None:
        self.calls.append(("settings", repo, private))

    def create_commit(
        self, repo: str, operations: list[Any], *, commit_message: str, repo_type: str, parent_commit: str | None
    ) -> SimpleNamespace:
        sent = {}
        for one in operations:
            content = one.path_or_fileobj
            sent[one.path_in_repo] = content if isinstance(content, bytes) else Path(content).read_bytes()
        self.commits.append(sent)
        self.calls.append(("commit", repo, repo_type, parent_commit))
        return SimpleNamespace(oid=f"{len(self.commits)}" * 40)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    import huggingface_hub

    made = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda token=None: made)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_test")
    return made


def _push(gi_bench: CommandLine, good: Challenge, *more: object, repo: str = REPO) -> Done:
    return gi_bench("submit", "push", good.folder, "--repo", repo, "--editions", good.table, *more)


def test_without_yes_nothing_is_sent(hub: Hub, good: Challenge, gi_bench: CommandLine) -> None:
    done = _push(gi_bench, good)
    assert (done.returncode, done.stderr, hub.calls) == (0, "", [])
    assert "inga/fjord is new; made private" in done.stdout
    assert "nothing was sent: give --yes" in done.stdout
    assert "medvqa validate --competition=fjord-2031 --task=2 --repo_id=inga/fjord" in done.stdout


def test_a_new_repository_is_private(hub: Hub, good: Challenge, gi_bench: CommandLine) -> None:
    assert _push(gi_bench, good, "--yes").returncode == 0
    assert hub.calls == [("create", REPO, "model", True, False), ("commit", REPO, "model", None)]
    there = {path.relative_to(good.folder).as_posix(): path.read_bytes() for path in good.folder.rglob("*.*")}
    assert hub.commits == [there]


def test_public_is_the_users_word(hub: Hub, good: Challenge, gi_bench: CommandLine) -> None:
    assert _push(gi_bench, good, "--yes", "--public").returncode == 0
    assert hub.calls[0] == ("create", REPO, "model", False, False)
    hub.kinds[REPO], hub.calls[:] = "model", []
    assert "becomes public" in _push(gi_bench, good, "--yes", "--public").stdout
    assert hub.calls[0] == ("settings", REPO, False)


def test_an_existing_repository_is_looked_at_first(hub: Hub, good: Challenge, gi_bench: CommandLine) -> None:
    hub.kinds[REPO], hub.is_private = "model", False
    hub.files = {"who.py": b"old", "old.safetensors": b"", ".gitattributes": b""}
    done = _push(gi_bench, good, "--yes")
    assert "is there, a model of yours, public" in done.stdout
    assert "replaces: who.py\n" in done.stdout
    assert "leaves as they are: .gitattributes, old.safetensors" in done.stdout
    assert hub.calls == [("commit", REPO, "model", "a" * 40)], "on top of what was looked at"


@pytest.mark.parametrize(
    ("repo", "kinds", "message"),
    [
        ("someone/fjord", {}, "someone is not you (inga)"),
        (REPO, {REPO: "dataset"}, "it is a dataset"),
        (REPO, {REPO: "space"}, "it is a space"),
        ("fjord", {}, "not the id of a repository"),
        ("inga/../x", {}, "not the id of a repository"),
        ("https://huggingface.co/inga/fjord", {}, "not the id of a repository"),
    ],
)
def test_what_is_not_the_users_is_refused(
    hub: Hub, good: Challenge, gi_bench: CommandLine, repo: str, kinds: dict[str, str], message: str
) -> None:
    hub.kinds = kinds
    done = _push(gi_bench, good, "--yes", repo=repo)
    assert (done.returncode, hub.calls) == (2, [])
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_organisation_of_the_user(hub: Hub, good: Challenge, gi_bench: CommandLine) -> None:
    assert _push(gi_bench, good, "--yes", repo="fjordlab/x").returncode == 0


def test_without_a_token_it_says_how_to_get_one(
    hub: Hub, good: Challenge, gi_bench: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    done = _push(gi_bench, good)
    assert done.returncode == 0
    assert "https://huggingface.co/settings/tokens" in done.stdout
    done = _push(gi_bench, good, "--yes")
    assert (done.returncode, hub.calls) == (2, [])
    assert "hf auth login" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_refused_token_is_one_line(hub: Hub, good: Challenge, gi_bench: CommandLine) -> None:
    hub.error = RuntimeError("Invalid credentials hf_test")
    hub.error.response = SimpleNamespace(status_code=401)  # type: ignore[attr-defined]
    done = _push(gi_bench, good, "--yes")
    assert done.returncode == 2
    assert "the Hub refuses the token" in done.stderr
    assert "hf_test" not in done.stderr
    hub.error = ConnectionError("no route")
    assert "the Hub cannot be reached" in _push(gi_bench, good, "--yes").stderr


def test_a_folder_with_errors_is_not_sent(hub: Hub, good: Challenge, gi_bench: CommandLine) -> None:
    good.change_row(3, answer="")
    done = _push(gi_bench, good, "--yes")
    assert (done.returncode, hub.calls) == (2, [])
    assert "answer-empty" in done.stdout


@pytest.mark.parametrize("named", [f"REPOSITORY = '{REPO}'\n", ""])
def test_the_script_follows_the_weights_and_names_their_commit(
    hub: Hub, good: Challenge, gi_bench: CommandLine, named: str
) -> None:
    lines = f"from somewhere import load\n{named}REVISION = 'main'\n# REVISION = 'main'"
    good.edit("run_answers.py", "from somewhere import load", lines)
    before = (good.folder / "run_answers.py").read_text()
    done = _push(gi_bench, good, "--yes")
    assert done.returncode == 0
    assert "REVISION becomes the commit of the weights" in done.stdout
    weights, script = hub.commits
    assert "run_answers.py" not in weights
    assert "answers.json" in weights
    assert list(script) == ["run_answers.py"]
    wanted = before.replace("\nREVISION = 'main'", f'\nREVISION = "{"1" * 40}"', 1)
    assert script["run_answers.py"].decode() == wanted
    assert hub.calls[-1] == ("commit", REPO, "model", "1" * 40)
    assert (good.folder / "run_answers.py").read_text() == before, "the folder stays as it was checked"


def test_a_script_of_another_repository_is_refused(hub: Hub, good: Challenge, gi_bench: CommandLine) -> None:
    lines = "from somewhere import load\nREPOSITORY = 'inga/other'\nREVISION = 'main'"
    good.edit("run_answers.py", "from somewhere import load", lines)
    done = _push(gi_bench, good, "--yes")
    assert (done.returncode, hub.calls) == (2, [])
    assert "fetches its weights from 'inga/other'" in done.stderr


def test_a_pinned_script_goes_up_with_the_rest(hub: Hub, good: Challenge, gi_bench: CommandLine) -> None:
    good.edit("run_answers.py", "from somewhere import load", f"from somewhere import load\nREVISION = '{'b' * 40}'")
    assert _push(gi_bench, good, "--yes").returncode == 0
    assert len(hub.commits) == 1


def test_another_subtask_of_the_repository_stays(hub: Hub, good: Challenge, gi_bench: CommandLine) -> None:
    hub.kinds[REPO], hub.files = "model", {"run_answers.py": b"", "README.md": b"of subtask 1", ".gitattributes": b""}
    assert _push(gi_bench, good, "--yes").returncode == 0, "a folder of both subtasks replaces both"
    hub.calls.clear()
    for name in ("run_answers.py", "answers.json"):
        (good.folder / name).unlink()
    for more in ((), ("--yes",)):
        done = _push(gi_bench, good, *more)
        assert (done.returncode, hub.calls) == (2, [])
        assert "holds subtask 1 too (run_answers.py), whose README.md would be replaced" in done.stderr
        assert done.stderr.count("\n") == 1
    hub.files = {"README.md": b"of anything", ".gitattributes": b""}
    assert _push(gi_bench, good, "--yes").returncode == 0


@dataclass
class Keeping(Hub):
    """A Hub that keeps what it is sent, and goes away before a chosen change."""

    stop_at: int | None = None

    def _step(self) -> None:
        if self.stop_at is not None and len(self.calls) == self.stop_at:
            raise KeyboardInterrupt

    def create_repo(self, repo: str, *, repo_type: str, private: bool, exist_ok: bool) -> None:
        self._step()
        assert self.kinds.get(repo) is None
        super().create_repo(repo, repo_type=repo_type, private=private, exist_ok=exist_ok)
        self.kinds[repo] = repo_type

    def create_commit(self, repo: str, operations: list[Any], **options: Any) -> SimpleNamespace:
        self._step()
        made = super().create_commit(repo, operations, **options)
        self.files |= self.commits[-1]
        return made


def test_an_upload_that_was_interrupted_goes_on(
    good: Challenge, gi_bench: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_test")
    good.edit("run_answers.py", "from somewhere import load", "from somewhere import load\nREVISION = 'main'")
    ends = []
    for stop_at in (None, 0, 1, 2):
        hub = Keeping(stop_at=stop_at)
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda token=None, hub=hub: hub)
        if stop_at is not None:
            assert _push(gi_bench, good, "--yes").returncode == 130
            assert len(hub.calls) == stop_at
            hub.stop_at = None
        done = _push(gi_bench, good, "--yes")
        assert done.returncode == 0, done.stderr
        assert f'REVISION = "{str(len(hub.commits) - 1) * 40}"'.encode() in hub.files["run_answers.py"]
        ends.append({name: content for name, content in hub.files.items() if name != "run_answers.py"})
    assert ends[1:] == ends[:1] * 3
