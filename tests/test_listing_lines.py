"""Listings are alphabetical: every line of one is understood without the line above it in the source."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from zoo_core import lookup, plugins, registry
from zoo_core.plugins.catalogue import KINDS

LEANS_ON_ANOTHER = re.compile(r"^(the same|another|as above|likewise|ditto)\b|\bibid\b", re.IGNORECASE)


def lines():
    catalogue = plugins.load().catalogue
    yield from ((kind, each.name, each.summary) for kind in KINDS for each in catalogue.all(kind))
    yield from (("model", entry.id, entry.summary) for entry in registry.load().entries.values())


def test_every_line_of_a_listing_stands_alone():
    listed = list(lines())
    assert len(listed) > 100
    assert [line for line in listed if LEANS_ON_ANOTHER.search(line[2])] == []


@pytest.mark.parametrize("summary", ["the same, in bits", "Another sampler, guided", "reverse SDE (ibid.)"])
def test_lines_that_lean_on_another_are_seen(summary):
    assert LEANS_ON_ANOTHER.search(summary)


def test_weights_of_a_plugin_that_is_not_installed():
    """The listing says what to install; ``missing`` is left for an installed plugin whose file is gone."""
    entry = registry.load().get("gmm-eight-gaussians")
    elsewhere = replace(entry, plugin="zoo-nowhere")
    assert lookup.where(elsewhere) == "zoo-nowhere is not installed"
    assert lookup.where(replace(entry, id="gmm-without-a-file")) == "missing"
