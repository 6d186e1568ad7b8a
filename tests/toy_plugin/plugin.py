"""A plugin in which nothing is wrong: the tests of the conformance kit break it, one line at a time."""

from __future__ import annotations

from zoo_core import hookimpl

ZOO_API = (1, 0)


@hookimpl
def zoo_register(catalogue):
    can = ["Density", "DirectSampler", "LatentVariable"]
    catalogue.family("toyflow", "zoo_toy.model:Flow", "an affine flow with labels", capabilities=can)
    catalogue.family("toywalk", "zoo_toy.model:Walk", "an exact denoiser", capabilities=["Density", "Denoiser"])
    catalogue.family("toyduel", "zoo_toy.model:Duel", "generator and critic", capabilities=["DirectSampler"])
    can = ["Density", "DirectSampler", "Completer"]
    catalogue.family("toygrey", "zoo_toy.model:Grey", "images", capabilities=can)
    catalogue.sampler("toy-steps", "zoo_toy.parts:Steps", "DDIM by another name", needs=["Denoiser"])
    catalogue.metric("toy-mean", "zoo_toy.parts:Mean", "the mean of samples", needs=[])
    catalogue.metric("toy-rare", "zoo_toy.parts:Rare", "mean of the samples, measured on demand", needs=[])
    catalogue.metric("toy-whole", "zoo_toy.parts:Whole", "mean of the samples, against whole data sets", needs=[])
    catalogue.objective("toy-nll", "zoo_toy.parts:Likelihood", "maximum likelihood", families=["toyflow"])
    catalogue.objective("toy-game", "zoo_toy.parts:Game", "a game", families=["toyduel"])
    catalogue.objective("toy-mle", "zoo_toy.parts:Moments", "maximum likelihood by moments", families=["toygrey"])
