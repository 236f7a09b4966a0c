"""The noise of labels that is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Normal

from lightning_mbo.data import LabelNoise
from lightning_mbo.label_noise import negative_log_likelihoods, noise_share, of_labels


def test_an_error_adds_to_the_variance() -> None:
    prediction = Normal(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 0.5]))
    labels = of_labels(prediction, torch.tensor([4.0, 0.0]))
    assert labels.loc.tolist() == [1.0, 2.0]
    assert labels.scale.tolist() == [5.0, 0.5]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [1, 3])
def test_a_mean_of_measurements_is_as_likely_as_they_are(k: int, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    measured = rng.normal(size=(5, 7))
    means, stds = rng.normal(size=(k, 7)), rng.uniform(0.2, 2, size=(k, 7))
    expected = -stats.norm(means[:, None], stds[:, None]).logpdf(measured).sum(1)
    noise = LabelNoise(torch.zeros(7), torch.from_numpy(measured.std(0)))
    losses = negative_log_likelihoods(
        Normal(torch.tensor(means, dtype=dtype), torch.tensor(stds, dtype=dtype)),
        torch.tensor(measured.mean(0), dtype=dtype),
        noise.map(lambda values: values.to(dtype)),
    )
    assert losses.dtype == dtype
    np.testing.assert_allclose(5 * losses.numpy(), expected, rtol=1e-4)


def test_labels_with_errors_are_normal_around_the_mean() -> None:
    rng = np.random.default_rng(0)
    mean, std, labels, errors = rng.normal(size=9), *rng.uniform(0.1, 2, size=(3, 9))
    noise = LabelNoise(torch.from_numpy(errors), torch.zeros(9).double())
    prediction = Normal(torch.from_numpy(mean), torch.from_numpy(std))
    losses = negative_log_likelihoods(prediction, torch.from_numpy(labels), noise)
    expected = -stats.norm(mean, np.sqrt(std**2 + errors**2)).logpdf(labels)
    np.testing.assert_allclose(losses, expected)
    # The same, where none is known, to the last bit.
    alone = negative_log_likelihoods(prediction, torch.from_numpy(labels), None)
    assert torch.equal(alone, -prediction.log_prob(torch.from_numpy(labels)))


def test_a_noisy_label_counts_for_less() -> None:
    shares = noise_share(torch.tensor([0.0, 2.0, 1e30]), torch.tensor([[4.0], [1.0]]))
    torch.testing.assert_close(shares, torch.tensor([[1.0, 0.5, 0.0], [1.0, 0.2, 0.0]]))
