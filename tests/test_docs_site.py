"""The pages that users read: links lead somewhere, options exist, examples give what they say, types are explained."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import torch

import zoo_core
from zoo_core import interfaces, paths, registry
from zoo_core.cli import cli

ROOT = Path(__file__).parent.parent
DOCS = sorted(ROOT.glob("docs/*.md"))
READ = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
LINKED = [*READ, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"""(?:load|sample|info)\("([\w-]+)""")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# Links


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as a forge and the site make them."""
    found: set[str] = set()
    for title in re.findall(r"^#+ (.+?) *$", FENCE.sub("", text_of(path)), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        count = sum(re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other) is not None for other in found)
        found.add(f"{slug}-{count}" if count else slug)
    return found


def links(path: Path) -> Iterator[str]:
    """Where the relative links of a page lead; what is in code is no link."""
    prose = re.sub(r"`[^`\n]*`", "`…`", FENCE.sub("", text_of(path)))
    for target in re.findall(r"\]\(([^()\s]+)\)", prose):
        if not re.match(r"[a-z]+:", target):
            yield target


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_relative_links_lead_to_a_file_and_an_anchor(page):
    for link in links(page):
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{name_of(page)}: {link}"
        assert path.is_relative_to(ROOT), f"{name_of(page)}: {link}"
        if anchor:
            assert anchor in anchors(path), f"{name_of(page)}: {link}"


def test_every_page_is_in_the_navigation():
    navigation = text_of(ROOT / "mkdocs.yml").partition("\nnav:")[2].partition("\nvalidation:")[0]
    listed = re.findall(r"- ([\w-]+\.md)$", navigation, re.MULTILINE)
    assert set(listed) == {path.name for path in DOCS} | {"index.md", "contributing.md", "security.md", "changelog.md"}
    assert len(listed) == len(set(listed))


def test_the_readme_is_short():
    """The table of families has a row for each of them; all else is one page."""
    before, _, rest = text_of(ROOT / "README.md").partition("<!-- families -->")
    assert len((before + rest.partition("<!-- /families -->")[2]).splitlines()) <= 100


# The command line


def commands(path: Path) -> Iterator[str]:
    """The command lines of a page that begin with ``zoo``: in code blocks, and in the text where they are complete."""
    text = text_of(path)
    for language, block in FENCE.findall(text):
        if language in ("", "sh", "bash", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                if match := re.match(r"\s*(?:\$ )?(?:.* -m zoo_core\.cli|zoo) (.+)", line):
                    yield match[1]
    for line in re.findall(r"(?<!`)`zoo ([^`\n]+)`(?!`)", FENCE.sub("", text)):
        yield line


def mistake(line: str) -> str | None:
    """What is wrong with a command line: a verb or an option that does not exist."""
    words = shlex.split(line, comments=True)
    command: click.Command = cli
    known = set()
    while isinstance(command, click.Group):
        known |= {option for parameter in command.params for option in parameter.opts}
        if not (rest := [word for word in words if not word.startswith("-")]) or rest[0].isupper():
            break
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            return f"{rest[0]!r} is no verb"
        words.remove(rest[0])
        command = found
    known |= {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
    options = [word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    return next((f"{command.name} has no option {option!r}" for option in options if option not in known), None)


@pytest.mark.parametrize("page", READ, ids=name_of)
def test_verbs_and_options_exist(page):
    wrong = {line: reason for line in commands(page) if (reason := mistake(line))}
    assert not wrong


def test_a_mistake_is_found():
    assert mistake("samples x") == "'samples' is no verb"
    assert mistake("plugins old x") == "'old' is no verb"
    assert mistake("sample x --step 3  # --nothing") == "sample has no option '--step'"
    assert mistake("sample x -n 3 --steps=3 --set eta=1") is None
    assert len(list(commands(ROOT / "docs" / "getting-started.md"))) > 15


# Examples


def examples() -> dict[tuple[str, str], str]:
    """The Python blocks with output, by page and by the model that they use last."""
    ids, found = set(registry.load().entries), {}
    for page in READ:
        model = ""
        for language, block in FENCE.findall(text_of(page)):
            if language == "python" and ">>>" in block:
                model = next((name for name in CALL.findall(block) if name in ids), model)
                found[name_of(page), model] = found.get((name_of(page), model), "") + block + "\n"
    return found


@pytest.mark.parametrize(("page", "model"), examples())
def test_examples_give_what_they_say(page, model):
    blocks = examples()[page, model]
    known = {"zoo_core": zoo_core, "torch": torch}
    test = doctest.DocTestParser().get_doctest(blocks, known, f"{page}, {model}", page, 0)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not said, "".join(said)


def test_the_recipe_that_is_shown_is_that_of_the_model():
    [block] = (block for language, block in FENCE.findall(text_of(ROOT / "docs" / "recipes.md")) if language == "toml")
    [(name, shown)] = tomllib.loads(block)["models"].items()
    recipe = registry.load().get(name).recipe
    assert {key: value for key, value in recipe.items() if key != "how"} == shown["recipe"]


# Types


def annotations(kind: object) -> Iterator[str]:
    """The annotations of a function, or of a class and its public methods."""
    yield from map(str, getattr(kind, "__annotations__", {}).values())
    if inspect.isclass(kind):
        for name, member in vars(kind).items():
            code = member.fget if isinstance(member, property) else member
            if inspect.isfunction(code) and not name.startswith("_"):
                yield from map(str, code.__annotations__.values())


def test_every_type_in_a_signature_has_its_section():
    functions = (zoo_core.load, zoo_core.sample, zoo_core.find, zoo_core.info)
    kinds = (getattr(interfaces, name) for name in interfaces.__all__)
    public = {*interfaces.__all__, *paths.__all__, "Entry"} & {
        word
        for kind in (*functions, *(k for k in kinds if inspect.isclass(k)))
        for text in annotations(kind)
        for word in re.findall(r"\w+", text)
    }
    assert {"SampleSpace", "Streams", "Condition", "Batch", "Result", "Values", "Entry", "DataSet"} <= public
    page = text_of(ROOT / "docs" / "types.md")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert public <= set(sections)
    for name, text in sections.items():
        [path] = re.findall(r"^::: (zoo_core\.[\w.]+)$", text, re.MULTILINE)
        module, _, attribute = path.rpartition(".")
        assert attribute == name
        assert hasattr(importlib.import_module(module), name), path
