"""A reader's own sequences, from the command line: texts, arrays with lengths, labels and missing values."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

import zoo_core
from zoo_core.cli import cli
from zoo_core.errors import DataError


def run(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.long
def test_lines_of_a_text_are_learnt_and_scored(tmp_path):
    source = np.random.default_rng(0)
    lines = ["".join(source.choice(list("acgt"), source.integers(5, 20))) for _ in range(60)]
    (tmp_path / "dna.txt").write_text("\n".join(lines))
    options = ("--set", "iterations=3", "--set", "restarts=1")
    run("train", "--family", "hmm", "--data", tmp_path / "dna.txt", "--out", tmp_path / "run", *options)
    folder = tmp_path / "run" / "model"
    model = zoo_core.load(str(folder))
    assert model.space.vocabulary == 4
    run("sample", folder, "-n", 3, "--out", tmp_path / "x.txt")
    drawn = (tmp_path / "x.txt").read_text().splitlines()
    assert len(drawn) == 3
    assert set("".join(drawn)) <= set("acgt")
    run("again", tmp_path / "x.txt")
    (tmp_path / "holes.txt").write_text("acg?ac\n??\nt\n")
    assert len(run("score", folder, tmp_path / "holes.txt").splitlines()) == 5
    run("fill", folder, tmp_path / "holes.txt", "--out", tmp_path / "filled.txt")
    filled = (tmp_path / "filled.txt").read_text().splitlines()
    assert [len(line) for line in filled] == [6, 2, 1]
    assert (filled[0][:3], filled[0][4:], filled[2]) == ("acg", "ac", "t")
    (tmp_path / "other.txt").write_text("acg\naxg\n")
    with pytest.raises(DataError, match="line 1 has the character 'x'; expected some of 'acgt'"):
        run("score", folder, tmp_path / "other.txt")


@pytest.mark.long
@pytest.mark.parametrize("labels", [True, False])
def test_padded_sequences_with_missing_numbers_are_learnt_and_filled(tmp_path, labels):
    source = np.random.default_rng(0)
    x, lengths = source.standard_normal((40, 15, 2)).cumsum(1), source.integers(8, 16, 40)
    x[source.random(x.shape) < 0.1] = np.nan
    y = {"y": np.arange(40) % 2} if labels else {}
    np.savez(tmp_path / "walks.npz", x=x, lengths=lengths, **y)
    options = ("--set", "iterations=3", "--set", "config.states=3", "--set", "config.components=1")
    run("train", "--family", "hmm", "--data", tmp_path / "walks.npz", "--out", tmp_path / "run", *options)
    model = zoo_core.load(str(tmp_path / "run" / "model"))
    assert (model.classes, model.space.shape) == (2 if labels else 1, (None, 2))
    np.savez(tmp_path / "holes.npz", samples=x[:5], lengths=lengths[:5])
    condition = ("--condition", "label=[0,1,0,1,0]") if labels else ()
    run("fill", tmp_path / "run" / "model", tmp_path / "holes.npz", "--out", tmp_path / "filled.npz", *condition)
    with np.load(tmp_path / "filled.npz") as file:
        filled = dict(file)
    assert filled["lengths"].tolist() == lengths[:5].tolist()
    for row, holes, length in zip(filled["samples"], x, lengths, strict=False):
        known = ~np.isnan(holes[:length])
        assert np.isfinite(row[:length]).all()
        np.testing.assert_allclose(row[:length][known], holes[:length][known], rtol=1e-6)
