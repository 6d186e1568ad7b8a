"""What is written into a registry file leaves it as tidy as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zoo_core import registry
from zoo_core.registry import writer

NAME = "gmm-eight-gaussians"
BLANK_RUN = "\n\n\n"


@pytest.fixture
def file(tmp_path):
    """A copy of the zoo's own registry."""
    copy = tmp_path / "registry.toml"
    copy.write_text(registry.central_file().read_text(encoding="utf-8"), encoding="utf-8")
    return copy


def entry_with(**weights):
    entry = registry.load().get(NAME)
    return replace(entry, weights=replace(entry.weights, **weights))


def test_the_registry_has_no_runs_of_blank_lines(file):
    assert BLANK_RUN not in file.read_text(encoding="utf-8")


@pytest.mark.slow
def test_measuring_again_and_again_leaves_no_blank_lines_behind(file):
    """Ten changes of one model leave as many lines as one."""
    row, lengths = registry.load().get(NAME).evaluations[0], set()
    for i in range(10):
        writer.pin_row(file, NAME, replace(row, value=float(i)))
        text = file.read_text(encoding="utf-8")
        assert BLANK_RUN not in text
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        lengths.add(text.count("\n"))
    assert len(lengths) == 1


@pytest.mark.long
def test_new_weights_leave_no_blank_lines_behind(file):
    writer.pin(file, replace(entry_with(sha256="b" * 64, size=7), parameters=3))
    writer.pin_published(file, entry_with(sha256="c" * 64, size=7, repo_id="org/ring", revision="a" * 40))
    assert BLANK_RUN not in file.read_text(encoding="utf-8")


def test_blank_lines_within_a_string_are_its_own(file):
    text = file.read_text(encoding="utf-8")
    table = f"[models.{NAME}.config]\n"
    file.write_text(text.replace(table, f'{table}note = """one{BLANK_RUN}two"""\n'), encoding="utf-8")
    writer.pin_row(file, NAME, registry.load().get(NAME).evaluations[0])
    assert next(e for e in registry.read(file).entries if e.id == NAME).config["note"] == f"one{BLANK_RUN}two"
