"""ePOS files: eleven big-endian columns per ion, without a header.

x, y, z in nm, m/q in Da, time of flight in ns, DC and pulse voltage in V, detector x and y in mm as float32; pulses
since the last ion and ions on the pulse as uint32.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike

import numpy as np
import numpy.typing as npt

from aptstream.io.decode import LARGEST
from aptstream.io.replace import replacing

EPOS_FIELDS = ("x", "y", "z", "mass_to_charge", "tof_ns", "dc_v", "pulse_v", "det_x_mm", "det_y_mm")
EPOS_COUNTS = ("delta_pulse", "ions_per_pulse")
#: A record of 44 bytes.
EPOS = np.dtype([*((name, ">f4") for name in EPOS_FIELDS), *((name, ">u4") for name in EPOS_COUNTS)])


def write_epos(path: str | PathLike[str], blocks: Iterable[npt.NDArray[np.void]]) -> None:
    """Write an ePOS file block by block, whole or not at all.

    Parameters
    ----------
    path : path
        File to write; one that stands there is replaced.
    blocks : iterable of ndarray of `EPOS`
        Ions.

    Raises
    ------
    ValueError
        If there is no ion, a block is of another type, or a number is not finite or beyond 1e6.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_epos(f"{folder}/a.epos", [np.zeros(3, EPOS), np.zeros(2, EPOS)])
    ...     os.path.getsize(f"{folder}/a.epos") == 5 * 44
    True
    """
    written = 0
    with replacing(path) as stream:
        for block in blocks:
            if block.dtype != EPOS or block.ndim != 1:
                raise ValueError(f"ePOS is written from records of {EPOS}, (n,); found {block.dtype}, {block.shape}.")
            for name in EPOS_FIELDS:
                if not (np.abs(block[name]) <= LARGEST).all():
                    raise ValueError(f"An ePOS file holds finite numbers of at most 1e6, found others in {name}.")
            stream.write(np.ascontiguousarray(block).data)
            written += len(block)
        if not written:
            raise ValueError("An ePOS file needs at least one ion, found none.")
