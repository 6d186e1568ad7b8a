"""The scikit-learn estimator: scikit-learn's own checks, and densities and draws in the user's units."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from zoo_core.errors import IncompatibleError
from zoo_core.estimator import ZooEstimator

PLAIN = {"objective_options.shrinkage": 0.0, "objective_options.reg": 1e-8}
ONE = {"config": {"components": 1}, "recipe": {"restarts": 1, "iterations": 3, **PLAIN}}


@pytest.mark.slow
@parametrize_with_checks([ZooEstimator("gmm", **ONE)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_a_gaussian_has_its_density_in_the_users_units():
    """Against SciPy's density with the sample's mean and covariance, to the fit's regularisation of 1e-8."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 2)) @ np.array([[20.0, 3.0], [0.0, 0.1]]) + 7
    estimator = ZooEstimator("gmm", **ONE).fit(x)
    truth = multivariate_normal(x.mean(0), np.cov(x.T, bias=True)).logpdf(x[:20])
    assert np.allclose(estimator.score_samples(x[:20]), truth, atol=1e-3)
    assert estimator.score(x[:20]) == pytest.approx(truth.mean(), abs=1e-3)
    assert np.array_equal(estimator.sample(5, seed=3), estimator.sample(9, seed=3)[:5])


@pytest.mark.long
def test_it_works_in_pipelines_and_searches():
    x = np.random.default_rng(0).normal(size=(60, 2))
    search = GridSearchCV(
        ZooEstimator("gmm", recipe=ONE["recipe"]), {"config": [{"components": 1}, {"components": 3}]}, cv=2
    )
    assert search.fit(x).best_params_ == {"config": {"components": 1}}
    assert make_pipeline(StandardScaler(), ZooEstimator("gmm", **ONE)).fit(x).score_samples(x).shape == (60,)


@pytest.mark.long
def test_a_family_without_a_density_says_so():
    estimator = ZooEstimator("gan", recipe={"steps": 2, "batch": 8}).fit(np.random.default_rng(0).normal(size=(40, 2)))
    assert estimator.sample(3).shape == (3, 2)
    with pytest.raises(IncompatibleError, match="gan has no density"):
        estimator.score_samples(np.zeros((2, 2)))
