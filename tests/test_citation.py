"""What tells others where the project stands: the citation file, and the addresses in the package's metadata."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gi_bench import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]


def _citation() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def _project() -> dict[str, Any]:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert isinstance(found, dict)
    return found


def test_the_citation_names_this_software_as_its_metadata_do() -> None:
    found, project = _citation(), _project()
    assert (found["cff-version"], found["type"]) == ("1.2.0", "software")
    assert (found["title"], found["version"], found["license"]) == (project["name"], __version__, project["license"])
    assert project["version"] == __version__
    assert found["keywords"] == project["keywords"]
    assert found["authors"]
    assert found["message"]


def test_the_citation_names_the_paper_and_the_data_sets() -> None:
    references = {one["url"]: one for one in _citation()["references"]}
    assert references["https://arxiv.org/abs/2511.04384"]["type"] == "article"
    data = {
        one["title"].partition(":")[0].partition(",")[0]: one for one in references.values() if one["type"] == "data"
    }
    assert set(data) == {"Kvasir-VQA-x1", "Kvasir-VQA", "HyperKvasir"}
    for one in references.values():
        assert re.fullmatch(r"20\d\d", str(one["year"]))
        assert all({"given-names", "family-names"} <= set(author) for author in one["authors"])
        assert re.fullmatch(r"10\.\d{4,9}/\S+", one.get("doi", "10.1234/none"))


def test_the_citation_follows_the_schema_of_its_format() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    found = importlib.util.find_spec("cffconvert")
    if found is None or found.origin is None:
        pytest.skip("cffconvert, which brings the schema, is not installed: pip install --no-deps cffconvert")
    schema = json.loads((Path(found.origin).parent / "schemas" / "1.2.0" / "schema.json").read_text(encoding="utf-8"))
    content = yaml.load((ROOT / "CITATION.cff").read_text(encoding="utf-8"), yaml.BaseLoader)
    for holder in (content, *content["references"]):  # numbers are numbers, everything else is text
        for key in ("year", "volume", "issue", "start"):
            if key in holder:
                holder[key] = int(holder[key])
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "type": "harness"}, schema)


def test_the_package_says_where_its_subject_is_found() -> None:
    urls = _project()["urls"]
    cited = {one[key] for one in _citation()["references"] for key in ("url", "repository") if key in one}
    assert {urls["Paper"], urls["Data"]} <= cited
    assert all(re.fullmatch(r"https://[a-z.]+/\S+", url) for url in urls.values())
