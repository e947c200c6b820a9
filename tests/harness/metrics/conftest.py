"""Tiny encoders, made once a session, and a run to score."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gi_bench.harness.metric_settings import MetricSettings
from gi_bench.harness.store import Run, open_run
from tests.conftest import MadeOnce
from tests.harness.metrics.tiny_encoders import write_bert, write_roberta
from tests.run_folders import write_run


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects to anything fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("something wanted to use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session")
def bert(made_once: MadeOnce) -> Path:
    """A tiny BERT."""
    return made_once("bert", lambda folder: write_bert(folder / "tiny-bert")) / "tiny-bert"


@pytest.fixture(scope="session")
def roberta(made_once: MadeOnce) -> Path:
    """A tiny RoBERTa."""
    return made_once("roberta", lambda folder: write_roberta(folder / "tiny-roberta")) / "tiny-roberta"


@pytest.fixture(scope="session")
def rater(made_once: MadeOnce) -> Path:
    """A tiny BERT that rates pairs, as BLEURT does."""

    def fill(folder: Path) -> None:
        write_bert(folder / "tiny-bleurt-base-128", "BertForSequenceClassification", num_labels=1)

    return made_once("rater", fill) / "tiny-bleurt-base-128"


@pytest.fixture
def scored(tmp_path: Path) -> Callable[..., Run]:
    """A run whose answers differ from the references, with settings."""

    def make(**settings: Any) -> Run:
        folder = tmp_path / "run"
        if not folder.exists():
            write_run(folder, answer=lambda q: "one red polyp" if q.index % 3 else "")
        return replace(open_run(folder), settings=MetricSettings(cache=tmp_path / "cache", **settings))

    return make
