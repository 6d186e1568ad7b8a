"""Regressions against scikit-learn, SciPy and the normal equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zoo_classical.linear import LinearRegression
from zoo_classical.logistic import LogisticRegression
from zoo_classical.objective import ClosedForm
from zoo_core.errors import ConditionError, ZooError
from zoo_core.interfaces import Batch, Condition, Streams

stats = pytest.importorskip("scipy.stats")
linear_model = pytest.importorskip("sklearn.linear_model")

F = torch.float64


def fit(model, x, y, *, prior=None, weights=None, passes=1):
    objective, batch = ClosedForm(prior), Batch(y, Condition(inputs=x), weights)
    model.begin(batch.rows(slice(0, 5)))
    for _ in range(passes):
        objective.maximise(model, objective.statistics(model, batch))
    return model


def data(n=80, d=3, outcomes=2):
    streams = Streams(0, "regression", 0, n, dtype=F)
    x = streams.normal(d) + 50.0
    slopes = torch.arange(1.0, 1.0 + d * outcomes, dtype=F).view(d, outcomes)
    return x, x @ slopes - 7.0 + 0.5 * streams.normal(outcomes)


def test_linear_regression_is_that_of_scikit_learn():
    x, y = data()
    model = fit(LinearRegression(3, [2]), x, y)
    theirs = linear_model.LinearRegression().fit(x.numpy(), y.numpy())
    np.testing.assert_allclose(model.slopes.numpy(), theirs.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.intercepts.numpy(), theirs.intercept_, rtol=1e-8)
    residual = y.numpy() - theirs.predict(x.numpy())
    np.testing.assert_allclose(model.variance.numpy(), (residual**2).mean(0), rtol=1e-9)
    log_p = stats.norm(theirs.predict(x.numpy()), model.variance.sqrt().numpy()).logpdf(y.numpy()).sum(1)
    np.testing.assert_allclose(model.log_prob(y, condition=Condition(inputs=x)).numpy(), log_p, rtol=1e-9)


def test_linear_intervals_are_those_of_scipy():
    x, y = data(30, 1, 1)
    found = {e.name: e for e in fit(LinearRegression(), x, y).estimates(0.9)}
    theirs = stats.linregress(x.squeeze(1).numpy(), y.squeeze(1).numpy())
    reach = stats.t.ppf(0.95, 28)
    for name, value, stderr in (
        ("slope[0]", theirs.slope, theirs.stderr),
        ("intercept", theirs.intercept, theirs.intercept_stderr),
    ):
        expected = (value, value - reach * stderr, value + reach * stderr, stderr * math.sqrt(28 / 30))
        assert (found[name].value, found[name].low, found[name].high, found[name].stderr) == pytest.approx(
            expected, rel=1e-7
        )
    squares = found["variance"].value * 30
    assert (found["variance"].low, found["variance"].high) == pytest.approx(
        (squares / stats.chi2.ppf(0.95, 28), squares / stats.chi2.ppf(0.05, 28)), rel=1e-8
    )


def test_ridge_is_the_mode_of_the_posterior():
    x, y = data(outcomes=1)
    model = fit(LinearRegression(3, [1]), x, y, prior={"precision": 2.5})
    theirs = linear_model.Ridge(alpha=2.5).fit(x.numpy(), y.squeeze(1).numpy())
    np.testing.assert_allclose(model.slopes[0].numpy(), theirs.coef_, rtol=1e-8)
    assert model.intercepts.item() == pytest.approx(theirs.intercept_, rel=1e-7)
    same = fit(LinearRegression(3, [1]), x, y, prior={"precision": 0.0})
    assert torch.equal(same.coefficients, fit(LinearRegression(3, [1]), x, y).coefficients)


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_is_that_of_scikit_learn(classes):
    streams = Streams(1, "logistic", 0, 400, dtype=F)
    x = streams.normal(3) + 2.0
    odds = x @ torch.linspace(-1, 1, 3 * (classes - 1), dtype=F).view(3, -1) + 0.3
    p = torch.softmax(torch.cat([torch.zeros_like(odds[:, :1]), odds], 1), 1)
    y = streams.categorical(p[:, None]).double()
    model = fit(LogisticRegression(3, [str(k) for k in range(classes)]), x, y, passes=12)
    theirs = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=2000).fit(x.numpy(), y.squeeze(1).numpy())
    found = model.log_probabilities(model.design(Condition(inputs=x), len(x))).exp()
    np.testing.assert_allclose(found.numpy(), theirs.predict_proba(x.numpy()), atol=1e-6)
    if classes == 2:
        np.testing.assert_allclose(model.slopes.numpy(), theirs.coef_, rtol=1e-5)
        np.testing.assert_allclose(model.intercepts.numpy(), theirs.intercept_, rtol=1e-5)
    log_p = model.log_prob(y, condition=Condition(inputs=x))
    assert log_p.exp().tolist() == pytest.approx(found.gather(1, y.long()).squeeze(1).tolist())
    statistics = ClosedForm().statistics(model, Batch(y, Condition(inputs=x)))
    assert statistics["gradient"].abs().max().item() < 1e-9


def test_logistic_standard_errors_are_those_of_the_hessian():
    x = Streams(2, "logistic", 0, 300, dtype=F).normal(2)
    y = (
        Streams(3, "logistic", 0, 300, dtype=F).uniform(1) < torch.sigmoid(x @ torch.tensor([[1.0], [-2.0]], dtype=F))
    ).double()
    model = fit(LogisticRegression(2), x, y, passes=12)
    theta = torch.cat([model.intercepts, model.slopes[0]])

    def negative(theta):
        odds = theta[0] + x @ theta[1:]
        return torch.nn.functional.binary_cross_entropy_with_logits(odds, y.squeeze(1), reduction="sum")

    covariance = torch.linalg.inv(torch.autograd.functional.hessian(negative, theta))
    found = model.estimates()
    assert [e.name for e in found] == ["intercept", "slope[0]", "slope[1]"]
    assert {e.method for e in found} == {"wald"}
    assert [e.stderr for e in found] == pytest.approx(covariance.diagonal().sqrt().tolist(), rel=1e-7)


def test_weights_count_as_examples():
    x = Streams(4, "weights", 0, 60, dtype=F).normal(2)
    y = (Streams(5, "weights", 0, 60, dtype=F).uniform(1) < torch.sigmoid(x[:, :1])).double()
    weights = torch.arange(60) % 3
    for make, passes in ((lambda: LogisticRegression(2), 12), (lambda: LinearRegression(2), 1)):
        weighted = fit(make(), x, y, weights=weights.double(), passes=passes)
        repeated = fit(make(), x.repeat_interleave(weights, 0), y.repeat_interleave(weights, 0), passes=passes)
        torch.testing.assert_close(weighted.slopes, repeated.slopes, rtol=1e-8, atol=1e-9)
        torch.testing.assert_close(weighted.intercepts, repeated.intercepts, rtol=1e-8, atol=1e-9)


def test_draws_follow_the_condition():
    x, y = data(outcomes=1)
    model = fit(LinearRegression(3, [1]), x, y)
    there = x[:1].expand(20_000, -1)
    drawn = model.draw(Streams(6, "draw", 0, 20_000, dtype=F), condition=Condition(inputs=there))
    mean = (model.slopes @ x[0] + model.intercepts).item()
    assert drawn.mean().item() == pytest.approx(mean, abs=5 * model.variance.sqrt().item() / math.sqrt(20_000))
    assert drawn.var().item() == pytest.approx(model.variance.item(), rel=0.05)


def test_mistakes_are_named():
    x = torch.arange(10, dtype=F)[:, None] - 4.5
    with pytest.raises(ZooError, match="planes separate the classes"):
        fit(LogisticRegression(), x, (x > 0).double(), passes=60)
    model = fit(LogisticRegression(), x, (x > 0).double(), prior={"precision": 1.0}, passes=15)
    assert model.slopes.item() > 0
    with pytest.raises(ZooError, match="do not determine 3 coefficients"):
        fit(LinearRegression(2), torch.cat([x, x], 1), x.square())
    with pytest.raises(ZooError, match="without noise"):
        fit(LinearRegression(), x, 2 * x)
    with pytest.raises(ConditionError, match="needs the condition 'inputs'"):
        LinearRegression().log_prob(x)
    for wrong in (
        lambda: LinearRegression(0),
        lambda: LinearRegression(1, [2, 2]),
        lambda: LogisticRegression(1, ["a"]),
    ):
        with pytest.raises(ValueError, match="expected"):
            wrong()
