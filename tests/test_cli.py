"""The command line as a user meets it: what is printed where, and with which exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import click
import pytest
import safetensors.torch
from PIL import Image

from zoo_core.cli import VERBS, cli

RING, MOONS = "gmm-eight-gaussians", "ddpm-moons"


def commands():
    """Every verb and every subverb."""
    context = click.Context(cli)
    for name in VERBS:
        command = cli.get_command(context, name)
        yield [name]
        if isinstance(command, click.Group):
            yield from ([name, sub] for sub in command.commands)


@pytest.mark.parametrize("verb", list(commands()), ids=" ".join)
def test_help_has_an_example(run, verb):
    code, out, err = run(*verb, "--help")
    assert (code, err) == (0, "")
    assert "Examples:\n" in out
    example = out.split("Examples:\n")[1]
    assert f"zoo {verb[0]}" in example
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize("name", VERBS)
def test_the_one_line_of_every_verb_is_that_of_its_help(name):
    command = cli.get_command(click.Context(cli), name)
    assert command.get_short_help_str(200).rstrip(".") == VERBS[name][1].rstrip(".")


LISTING = [
    ["list"],
    ["info", MOONS],
    ["families"],
    ["samplers"],
    ["samplers", "--for", MOONS],
    ["objectives", "--for", RING],
    ["metrics", "--for", MOONS],
    ["datasets"],
    ["datasets", "--for", MOONS],
    ["families", "--for", MOONS],
    ["plugins", "list"],
    pytest.param(["plugins", "doctor"], id="plugins doctor", marks=pytest.mark.slow),
    ["env"],
    ["cache", "ls"],
    ["verify", RING],
    ["download", RING],
    ["load", RING],
    ["eval", RING, "--metric", "nll", "-n", "50"],
    ["sample", RING, "-n", "3", "--out", "x.safetensors"],
    ["registry", "schema"],
]


@pytest.mark.parametrize("arguments", LISTING, ids=" ".join)
def test_json_and_text_on_stdout_and_nothing_else(run, arguments):
    code, out, err = run(*arguments, *([] if arguments[0] == "registry" else ["--json"]))
    assert (code, err) == (0, "")
    json.loads(out)
    code, out, err = run(*arguments)
    assert code == 0
    assert "Traceback" not in err


def test_list_filters(run):
    def ids(*arguments):
        return [row["id"] for row in json.loads(run("list", *arguments, "--json")[1])]

    assert ids("ddpm-*", "--dataset", "two-moons") == [MOONS]
    assert set(ids("--family", "gmm")) >= {RING, "gmm-digits"}
    assert ids("--plugin", "zoo-gmm", "--tag", "2d") == [RING]
    assert RING in ids("--cached")
    assert MOONS in ids("moons")
    assert all("moons" in name for name in ids("moons"))
    code, out, err = run("list", "no-such-*")
    assert (code, out) == (0, "")
    assert "no model matches" in err


def test_what_fits_a_model_and_why_the_others_do_not(run):
    def names(kind):
        return [row["name"] for row in json.loads(run(kind, "--for", MOONS, "--json")[1]) if row["fits"]]

    assert names("families") == ["ddpm"]
    assert names("datasets") == ["two-moons"]
    assert {"ancestral", "ddim"} <= set(names("samplers"))
    assert "direct" not in names("samplers")
    assert names("objectives") == ["ddpm-hybrid", "ddpm-simple", "ddpm-vlb", "label-dropout"]
    assert "nll" in names("metrics")
    err = run("samplers", "--for", MOONS)[2]
    assert "zoo: direct does not fit ddpm-moons: needs DirectSampler" in err


def test_load_says_what_it_is_and_what_is_next(run):
    code, out, err = run("load", RING)
    assert (code, err) == (0, "")
    for part in (
        "gmm: Gaussian mixtures",
        "bundled",
        "sha256",
        "Density, DirectSampler",
        "one drawn, finite",
        "nll -2.9059 ± 0.0100 nats on 10,000 of eight-gaussians/test, entropy -2.9067",
        f"Next: zoo sample {RING} -n 64",
    ):
        assert part in out
    facts = json.loads(run("load", RING, "--json")[1])
    assert facts["weights"]["from"] == "bundled"
    assert facts["sample_shape"] == [2]


def test_sample_writes_what_it_is_asked_for(run, tmp_path):
    code, out, err = run("sample", MOONS, "-n", "9", "--steps", "4", "--out", "x.png", "--trajectory", "film.gif")
    assert (code, out) == (0, "")
    assert "9 samples of ddpm-moons" in err
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size == (512, 512)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 4
    assert run("sample", MOONS, "-n", "2", "--steps", "3", "--out", "d/", "--trajectory", "strip.png")[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d", "film.gif", "strip.png", "x.png"]
    assert run("sample", RING, "-n", "4")[0] == 0
    assert (tmp_path / f"{RING}.png").exists()


def test_the_same_seed_the_same_bytes(run, tmp_path):
    for name in ("a", "b"):
        assert run("sample", MOONS, "-n", "5", "--steps", "5", "--seed", "3", "--out", f"{name}.safetensors")[0] == 0
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert run("sample", MOONS, "-n", "5", "--steps", "5", "--seed", "4", "--out", "c.safetensors")[0] == 0
    a, c = (safetensors.torch.load_file(tmp_path / f"{n}.safetensors")["samples"] for n in "ac")
    assert (a - c).abs().max() > 0.1


def test_options_reach_the_sampler(run, tmp_path):
    for eta in ("0.0", "1.0"):
        done = run("sample", MOONS, "-n", "3", "--sampler", "ddim", "--steps", "5", "--set", f"eta={eta}",
                   "--out", f"{eta}.safetensors")  # fmt: skip
        assert done[0] == 0
    assert (tmp_path / "0.0.safetensors").read_bytes() != (tmp_path / "1.0.safetensors").read_bytes()


WRONG = {
    ("nothing",): (2, "no verb 'nothing'"),
    ("lst",): (2, "did you mean list?"),
    ("list", "--nothing"): (2, "No such option"),
    ("sample", RING, "-n", "0"): (2, "0 is not in the range"),
    ("sample", RING, "--set", "eta"): (2, "'eta' is not KEY=VALUE"),
    ("sample", RING, "--sampler", "ddim"): (2, "needs Denoiser"),
    ("sample", RING, "--condition", "label=3"): (2, "no condition 'label'"),
    ("sample", RING, "--out", "x.wav"): (2, "cannot write points 2 to 'x.wav'; use .png, .jpg"),
    ("sample", RING, "--trajectory", "x.gif"): (2, "draws in a single step"),
    ("eval", MOONS, "--metric", "bits-per-dim"): (2, "two-moons has points 2: use nll"),
    ("load", RING, "--dtype", "int4"): (2, "unknown dtype 'int4'"),
    ("load", "gmm-eight"): (3, "gmm-eight-gaussians?"),
    ("info", "nothing-at-all"): (3, "unknown model"),
    ("sample", RING, "--sampler", "dimm"): (3, "did you mean ddim?"),
    ("eval", RING, "--metric", "nil"): (3, "did you mean nll?"),
    ("plugins", "doctor", "zzz"): (3, "unknown plugin 'zzz'"),
    ("load", "./nowhere"): (4, "no file 'config.json'"),
    ("load", RING, "--weights-from", "hub"): (4, "in no repository"),
    ("load", "hf:org/model", "--offline"): (5, "offline, and org/model@main is not in the cache"),
    ("export", RING, "out", "--format", "diffusers"): (2, "is for ddpm"),
    ("download",): (2, "name a model, or use --all"),
}


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_errors_are_one_line_with_their_exit_code(run, arguments, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    code, out, err = run(*arguments)
    expected, message = WRONG[arguments]
    assert (code, out) == (expected, "")
    assert message in err
    assert "Traceback" not in err
    if "Usage:" not in err:
        assert len(err.splitlines()) == 1


def test_a_bad_registry_is_exit_code_six(run, tmp_path):
    (tmp_path / "r.toml").write_text('schema = 1\n[models.x]\nfamily = "X"\n', encoding="utf-8")
    code, out, err = run("registry", "validate", "r.toml")
    assert (code, out) == (6, "")
    assert "r.toml: models.x.family: 'X' is not a name like ddpm" in err
    assert "r.toml: models.x.config: missing" in err


def test_debug_shows_the_traceback(run):
    code, _, err = run("--debug", "load", "nothing")
    assert code == 3
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("zoo: unknown model")


def test_verify_sees_a_changed_byte(zoo, tmp_path):
    """A copy of the installed plugin, with one byte of its weights changed."""
    import zoo_gmm

    home = tmp_path / "site"
    shutil.copytree(os.path.dirname(zoo_gmm.__file__), home / "zoo_gmm")
    assert zoo("verify", RING, path=home).returncode == 0
    weights = home / "zoo_gmm" / "weights" / RING / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    done = zoo("verify", RING, path=home)
    assert done.returncode == 4
    assert "are not those of the registry" in done.stderr
    assert zoo("load", RING, path=home).returncode == 4


def test_no_plugins(zoo):
    assert zoo("--no-plugins", "list").returncode == 0
    done = zoo("--no-plugins", "load", RING)
    assert done.returncode == 6
    assert "disabled" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(run, shell):
    code, out, _ = run("completion", shell)
    assert code == 0
    assert "_ZOO_COMPLETE" in out


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_bash_script_is_bash(run):
    script = run("completion", "bash")[1]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_an_interrupt_is_exit_code_130_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "zoo_core.cli", "sample", MOONS, "-n", "100000", "--sampler", "ancestral",
               "--out", "x.png"]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells ignore it for what runs behind them
    )  # fmt: skip
    try:
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.strip() == "zoo: interrupted"
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_is_no_error(tmp_path):
    command = f"{sys.executable} -m zoo_core.cli list --json | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout == "[\n"
    assert done.stderr == ""
