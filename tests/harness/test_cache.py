"""The cache: what is kept comes back, what is damaged never does, and nothing that goes wrong with it stops a job."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gi_bench.harness import cache as caching
from gi_bench.harness.cache import Cache, cache_folder, file_digests, kept_digest
from gi_bench.harness.files import file_digest


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "deep" / "values.sqlite3")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.text(max_size=20), st.binary(max_size=50), max_size=20))
def test_what_is_kept_comes_back(cache: Cache, values: dict[str, bytes]) -> None:
    cache.put_many(values)
    assert cache.get_many([*values, "\ud800 never kept"]) == values
    assert all(cache.get(key) == value for key, value in values.items())


def test_a_later_value_replaces_an_earlier_one(cache: Cache) -> None:
    cache.put("a", b"1")
    cache.put_many({"a": b"2", "b": b""})
    assert cache.get_many(["a", "b", "c"]) == {"a": b"2", "b": b""}


def test_more_keys_than_one_question_to_the_database_takes(cache: Cache) -> None:
    values = {str(i): str(i).encode() for i in range(2500)}
    cache.put_many(values)
    assert cache.get_many(values) == values


def test_changed_and_misplaced_values_are_not_taken(cache: Cache) -> None:
    cache.put_many({"a": b"first", "b": b"second"})
    with sqlite3.connect(cache.path) as connection:
        (stored,) = connection.execute("SELECT value FROM entries WHERE key = ?", (caching._digest("a"),)).fetchone()
        connection.execute("UPDATE entries SET value = ? WHERE key = ?", (stored, caching._digest("b")))
    connection.close()
    assert cache.get_many(["a", "b"]) == {"a": b"first"}
    for changed in (stored[:-1] + b"T", stored[:-1], b"", "text", 7):
        with sqlite3.connect(cache.path) as connection:
            connection.execute("UPDATE entries SET value = ? WHERE key = ?", (changed, caching._digest("a")))
        connection.close()
        assert cache.get("a") is None


@pytest.mark.parametrize("damage", ["other", "short", "page", "empty"])
def test_a_damaged_file_is_deleted_and_made_again(cache: Cache, damage: str) -> None:
    cache.put_many({str(i): os.urandom(300) for i in range(200)})
    content = cache.path.read_bytes()
    cache.path.write_bytes({
        "other": b"not a database" * 1000,
        "short": content[: len(content) // 2],
        "page": content[:4096] + os.urandom(4096) + content[8192:],
        "empty": b"",
    }[damage])  # fmt: skip
    assert cache.get_many([str(i) for i in range(200)]) == {}
    cache.put("new", b"value")
    cache.put("new", b"value")  # damage in a page may only be found while writing
    assert cache.get("new") == b"value"


def test_the_oldest_half_leaves_a_file_that_is_too_large(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "small.sqlite3", most_bytes=100_000)
    for i in range(300):
        cache.put(str(i), os.urandom(1000))
    kept = sorted(int(key) for key in cache.get_many(map(str, range(300))))
    assert kept == list(range(kept[0], 300))
    assert 20 < len(kept) < 100
    assert cache.path.stat().st_size < 200_000


def test_a_value_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "small.sqlite3", most_bytes=10_000)
    cache.put("large", bytes(50_000))
    assert cache.get("large") is None


def test_a_place_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for path in (tmp_path / "file" / "c.sqlite3", tmp_path, Path("/dev/null/c.sqlite3")):
        cache = Cache(path)
        cache.put("a", b"1")
        assert cache.get("a") is None


def test_a_locked_file_is_gone_without(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "_WAIT_S", 0.05)
    cache.put("a", b"1")
    holder = sqlite3.connect(cache.path)
    holder.execute("BEGIN EXCLUSIVE")
    cache.put("b", b"2")
    assert cache.get("a") is None
    holder.rollback()
    holder.close()
    assert cache.get_many(["a", "b"]) == {"a": b"1"}


_WRITER = """
import sys
from pathlib import Path
from gi_bench.harness.cache import Cache
cache = Cache(Path(sys.argv[1]))
for i in range(60):
    cache.put(f"{sys.argv[2]} {i}", sys.argv[2].encode())
"""


def test_processes_share_a_file(cache: Cache) -> None:
    names = ("one", "two", "three")
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(cache.path), name]) for name in names]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    keys = {f"{name} {i}": name.encode() for name in names for i in range(60)}
    assert cache.get_many(keys) == keys


def test_the_folder_is_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("GI_BENCH_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("GI_BENCH_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "gi-bench"


def test_a_user_without_a_home_caches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("GI_BENCH_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    cache = Cache(cache_folder() / "a.sqlite3")
    cache.put("a", b"1")
    assert cache.get("a") is None


def _age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_known_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(caching, "file_digest", lambda path: read.append(path) or file_digest(path))
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in paths:
        path.write_bytes(path.name.encode())
        _age(path, 60)
    wanted = [file_digest(path) for path in paths]
    assert file_digests(paths, tmp_path / "cache") == wanted
    assert read == paths
    assert file_digests([*paths, paths[0]], tmp_path / "cache") == [*wanted, wanted[0]]
    assert read == paths


@pytest.mark.parametrize("how", ["written", "replaced", "same size and times"])
def test_a_file_that_changed_is_read_again(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"before")
    _age(path, 60)
    before = path.stat()
    first = file_digests([path], tmp_path / "cache")
    if how == "replaced":
        (tmp_path / "b").write_bytes(b"behind")
        os.utime(tmp_path / "b", ns=(before.st_atime_ns, before.st_mtime_ns))
        (tmp_path / "b").replace(path)
    else:
        path.write_bytes(b"afters" if how != "written" else b"longer than before")
        if how != "written":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_digests([path], tmp_path / "cache") == [file_digest(path)] != first


def test_a_file_just_written_is_not_trusted_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"now")
    file_digests([path], tmp_path / "cache")
    read: list[Path] = []
    monkeypatch.setattr(caching, "file_digest", lambda path: read.append(path) or file_digest(path))
    file_digests([path], tmp_path / "cache")
    assert read == [path]


def _hub_file(root: Path, content: bytes, name: str | None = None) -> Path:
    """A file of a snapshot in the Hub's cache, a link to its blob."""
    blob = root / "blobs" / (name or hashlib.sha256(content).hexdigest())
    blob.parent.mkdir(parents=True)
    blob.write_bytes(content)
    link = root / "snapshots" / ("0" * 40) / "model.safetensors"
    link.parent.mkdir(parents=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    return link


def test_a_large_file_of_the_hub_is_known_by_its_blob_s_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(caching, "file_digest", lambda path: read.append(path) or file_digest(path))
    link = _hub_file(tmp_path / "models--a--b", b"fifteen gigabytes")
    wanted = hashlib.sha256(b"fifteen gigabytes").hexdigest()
    assert file_digests([link], tmp_path / "cache") == [wanted]
    assert read == []
    time.sleep(0.02)
    link.resolve().write_bytes(b"something else!!!")
    assert file_digests([link], tmp_path / "cache") == [hashlib.sha256(b"something else!!!").hexdigest()]
    small = _hub_file(tmp_path / "models--a--c", b"{}", "9e26dfeeb6e641a33dae4961196235bdb965b21b")
    assert file_digests([small], tmp_path / "cache") == [hashlib.sha256(b"{}").hexdigest()]
    assert read == [link, small]


def test_a_digest_over_several_files_is_kept(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    made: list[int] = []

    def make() -> str:
        made.append(1)
        return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()

    for path in paths:
        path.write_bytes(path.name.encode())
        _age(path, 60)
    first = kept_digest("one way", paths, make, tmp_path / "cache")
    assert kept_digest("one way", paths, make, tmp_path / "cache") == first
    assert len(made) == 1
    kept_digest("another way", paths, make, tmp_path / "cache")
    kept_digest("one way", paths[::-1], make, tmp_path / "cache")
    assert len(made) == 3
    paths[1].write_bytes(b"c")
    assert kept_digest("one way", paths, make, tmp_path / "cache") != first
