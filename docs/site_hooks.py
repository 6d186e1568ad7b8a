"""What mkdocs needs beside mkdocs.yml: the pages that lie outside of ``docs/``, and links that lead to pages.

The files of the repository stay what they are: they are read on a forge too, where ``../README.md`` is a link.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
OUTSIDE = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files of the repository that are pages of the site, and what the pages are called."""

FENCE = re.compile(r"^(```.*?^```[^\n]*$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that lie outside of ``docs/``."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links between files of the repository into links between pages; code blocks stay as they are."""
    folder = "" if page.file.src_uri in OUTSIDE.values() else "docs"
    parts = FENCE.split(markdown)
    return "".join(part if part.startswith("```") else linked(part, folder) for part in parts)


def linked(text: str, folder: str) -> str:
    """Text whose relative links lead to pages; a link to a file that is no page leaves its words.

    Args:
        text: Markdown without code blocks.
        folder: folder of the repository that the links start from.
    """

    def replaced(match: re.Match[str]) -> str:
        picture, words, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path, mark, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(folder, path))
        page = OUTSIDE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
        return f"{picture}[{linked(words, folder)}]({page}{mark}{anchor})" if page else words

    return LINK.sub(replaced, text)
