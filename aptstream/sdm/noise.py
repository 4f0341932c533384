"""How noisy pictures are: the estimate by which the publication compares simulated SDMs with measured ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError

Pictures = npt.NDArray[np.floating[Any] | np.integer[Any]]


def noise_variance(pictures: Pictures) -> npt.NDArray[np.float64]:
    r"""Estimate the variance of the noise of pictures by Immerkær's fast method.

    A mask that is the difference of two Laplacians,

    .. math:: N = \begin{pmatrix} 1 & -2 & 1 \\ -2 & 4 & -2 \\ 1 & -2 & 1 \end{pmatrix}, \qquad
       \sigma = \sqrt{\frac{\pi}{2}} \, \frac{1}{6 (W - 2)(H - 2)} \sum |I * N|,

    does not see constant, linear or one-dimensional structure, such as planes that fill a picture from side to side;
    white Gaussian noise passes with 36 times its variance. Structure in both directions counts as noise.

    Parameters
    ----------
    pictures : ndarray, (n, rows, columns)
        Any unit; at least 3 rows and 3 columns.

    Returns
    -------
    ndarray of float64, (n,)
        Variance σ² in squared units of the pictures.

    Raises
    ------
    PlanError
        If the pictures are too small, or not a stack of pictures.

    References
    ----------
    .. [1] Immerkær, Comput. Vis. Image Underst. 64, 300 (1996).

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 5, (1, 150, 150))
    >>> planes = 100 * np.sin(np.arange(150) / 3)[:, None]
    >>> noise_variance(noise + planes).round()
    array([25.])
    """
    if pictures.ndim != 3 or min(pictures.shape[1:]) < 3:
        raise PlanError(
            f"Noise is estimated of pictures (n, rows, columns) of at least 3 × 3 pixels, found {pictures.shape}."
        )
    sigma = np.empty(len(pictures))
    for k, picture in enumerate(pictures):
        answer = np.diff(np.diff(picture.astype(np.float64), 2, axis=0), 2, axis=1)
        sigma[k] = np.sqrt(np.pi / 2) / 6 * np.abs(answer).mean()
    return np.asarray(sigma**2)
