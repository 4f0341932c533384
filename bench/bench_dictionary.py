"""How fast training libraries are made: images per second of CPU time, all of their making included.

    OMP_NUM_THREADS=1 python bench/bench_dictionary.py [--specimens 200]

prints one JSON object a line. The rival is counting every cube alone from a specimen of its own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lines import read, show

from aptstream.crystal import Crystal
from aptstream.sdm.image import View
from aptstream.sdm.li2021 import VIEW, make_li2021
from aptstream.sdm.matched import SPECIMEN_NM, MatchedRecipe, make_matched
from aptstream.sdm.window import SdmWindow

CRYSTAL = Crystal("L12", 0.405)
RHOZ = SdmWindow("rhoz", half_z_nm=1.5, bins_z=75, half_lateral_nm=2.0, bins_lateral=10)
UNIT = "images/s (CPU)"
VIEWS = {
    "matched.rhoz_contrast": View(RHOZ, "contrast"),
    "matched.rhoz_channels": View(RHOZ, "channels"),
    "matched.z_contrast": View(SdmWindow("z", 1.5, 75, 3.0, 1), "contrast"),
    "matched.grey": VIEW,
}


def images_per_second(make: Callable[[Path], object], n_images: int) -> float:
    """Images for a second of process CPU time."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        make(Path(folder, "dictionary.zarr"))
        return n_images / (time.process_time() - start)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimens", type=int, default=200)
    parser.add_argument("--images", type=int, default=2000, help="of the publication's kind")
    given = read(parser, {"specimens": 4, "images": 27})
    n, n_li = given.specimens, given.images
    per_specimen = (SPECIMEN_NM - 3) ** 3
    for name, view in VIEWS.items():
        shared = MatchedRecipe(CRYSTAL, {4: view}, n_specimens=n)
        alone = MatchedRecipe(CRYSTAL, {4: view}, n_specimens=n, specimen_nm=4)
        images_per_second(lambda path, v=view: make_matched(path, MatchedRecipe(CRYSTAL, {4: v}, 4), seed=0), 1)  # warm
        ours = images_per_second(lambda path, r=shared: make_matched(path, r, seed=1), n * per_specimen)
        rival = images_per_second(lambda path, r=alone: make_matched(path, r, seed=1), n)
        show(f"dictionary.{name}", ours, UNIT, rival=("a specimen of its own for each image", rival))
    show("dictionary.li2021", images_per_second(lambda path: make_li2021(path, seed=1, n_images=n_li), n_li), UNIT)


if __name__ == "__main__":
    main()
