"""The comparison page: what several runs on one suite score, side by side, in the order in which a reader asks."""

from gi_bench.reports.comparison.page import Page, build_page, render, write_report
from gi_bench.reports.comparison.runs import load_runs, names_of

__all__ = ["Page", "build_page", "load_runs", "names_of", "render", "write_report"]
