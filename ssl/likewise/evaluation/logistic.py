"""Small logistic regressions, and how sure their coefficients are. Pure.

Shapes: n rows, d coefficients, S draws.
"""

import numpy as np
from jaxtyping import Float64

_STEPS = 100
_CANDIDATES = 40
"""Draws from the proposal for each one that is kept."""
_FREEDOM = 4.0
"""Degrees of freedom of the proposal: tails heavier than the posterior's."""


def sigmoid(values: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * values))


def _losses(
    coefficients: Float64[np.ndarray, "S d"],
    design: Float64[np.ndarray, "n d"],
    targets: Float64[np.ndarray, " n"],
    weights: Float64[np.ndarray, " n"],
    precision: Float64[np.ndarray, " d"],
) -> Float64[np.ndarray, " S"]:
    """Weighted cross-entropy of each row of coefficients, with the penalty."""
    scores = coefficients @ design.T
    entropy = (np.logaddexp(0.0, scores) - targets * scores) @ weights
    return np.asarray(entropy + 0.5 * (coefficients**2) @ precision)


def fit_logistic(
    design: Float64[np.ndarray, "n d"],
    targets: Float64[np.ndarray, " n"],
    weights: Float64[np.ndarray, " n"],
    precision: Float64[np.ndarray, " d"],
) -> tuple[Float64[np.ndarray, " d"], Float64[np.ndarray, "d d"]]:
    """Coefficients that minimise weighted cross-entropy + 1/2 sum of precision x coefficient^2.

    Newton's method with step halving (Lin, Lin & Weng 2007, "A Note on Platt's Probabilistic
    Outputs for Support Vector Machines", algorithm 1).

    Args:
        design: A row per observation; a column of ones is the intercept.
        targets: 0 to 1.
        weights: How much each row counts.
        precision: Of a normal prior around 0; zero for none.

    Returns:
        The coefficients, and their covariance: the inverse of the curvature at the minimum.
    """
    size = design.shape[1]
    found = np.zeros(size)
    loss = _losses(found[None], design, targets, weights, precision)[0]
    for _ in range(_STEPS):
        chances = sigmoid(design @ found)
        gradient = design.T @ (weights * (chances - targets)) + precision * found
        if np.abs(gradient).max() < 1e-9 * max(1.0, float(weights.sum())):
            break
        step = -np.linalg.solve(_curvature(design, chances, weights, precision), gradient)
        scale = 1.0
        while scale > 1e-10:
            moved = found + scale * step
            reached = _losses(moved[None], design, targets, weights, precision)[0]
            if reached < loss + 1e-4 * scale * float(gradient @ step):
                found, loss = moved, reached
                break
            scale /= 2
        else:
            break
    curvature = _curvature(design, sigmoid(design @ found), weights, precision)
    return found, np.linalg.inv(curvature)


def _curvature(
    design: Float64[np.ndarray, "n d"],
    chances: Float64[np.ndarray, " n"],
    weights: Float64[np.ndarray, " n"],
    precision: Float64[np.ndarray, " d"],
) -> Float64[np.ndarray, "d d"]:
    spread = weights * chances * (1 - chances)
    return np.asarray(
        design.T @ (spread[:, None] * design) + np.diag(precision) + 1e-12 * np.eye(len(precision))
    )


def posterior(
    design: Float64[np.ndarray, "n d"],
    targets: Float64[np.ndarray, " n"],
    weights: Float64[np.ndarray, " n"],
    precision: Float64[np.ndarray, " d"],
    draws: int,
    rng: np.random.Generator,
    rising: int | None = None,
) -> Float64[np.ndarray, "S d"]:
    """Coefficients drawn from their posterior under a normal prior around 0.

    Candidates come from a multivariate t around the maximum and are resampled by their weight
    (Rubin 1988, sampling importance resampling). ``rising`` names a coefficient known to be
    positive.
    """
    centre, covariance = fit_logistic(design, targets, weights, precision)
    root = np.linalg.cholesky(covariance)
    many, size = draws * _CANDIDATES, len(centre)
    normal = rng.standard_normal((many, size))
    tail = np.sqrt(_FREEDOM / rng.chisquare(_FREEDOM, many))
    candidates = centre + tail[:, None] * (normal @ root.T)
    distance = (normal**2).sum(axis=1) * tail**2
    proposal = -0.5 * (_FREEDOM + size) * np.log1p(distance / _FREEDOM)
    log_weight = -_losses(candidates, design, targets, weights, precision) - proposal
    if rising is not None:
        log_weight = np.where(candidates[:, rising] > 0, log_weight, -np.inf)
    if not np.isfinite(log_weight).any():
        return np.repeat(centre[None], draws, axis=0)
    chance = np.exp(log_weight - log_weight.max())
    return candidates[rng.choice(many, draws, p=chance / chance.sum())]
