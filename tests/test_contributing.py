"""CONTRIBUTING.md is followed word for word: the plugin in it is installed, saved, loaded and sampled."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch

from zoo_core.testing.fake_plugins import install

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_first_plugin(tmp_path, zoo, zoo_json):
    plugin, model, save = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len([line for line in (plugin + model).splitlines() if line.strip()]) <= 15
    site = tmp_path / "site"
    install(site, "zoo-die", plugin)
    (site / "zoo_die" / "model.py").write_text(model, encoding="utf-8")
    assert 'die = "zoo_die.plugin"' in TEXT
    assert "die" in [row["name"] for row in zoo_json("families", path=site)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))}
    subprocess.run([sys.executable, "-c", save], check=True, cwd=tmp_path, env=environment)
    loaded = zoo("load", "./die-loaded", path=site)
    assert loaded.returncode == 0, loaded.stderr
    assert "one drawn, finite" in loaded.stdout
    for target in ("faces.png", "faces.safetensors"):
        done = zoo("sample", "./die-loaded", "-n", "1000", "--out", target, path=site)
        assert done.returncode == 0, done.stderr
    faces = safetensors.torch.load_file(tmp_path / "faces.safetensors")["samples"].flatten()
    assert set(faces.tolist()) == {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}
    assert 430 < (faces == 6).sum() < 570  # four standard deviations of a binomial
