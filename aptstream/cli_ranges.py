"""The verbs that look at ranges and at the mass spectrum: ``ranges``, ``spectrum``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aptstream.cli_parts import JsonTo, stderr, stdout, tell, verb
from aptstream.display import StageDisplay, show_ranges, write_json

if TYPE_CHECKING:
    from aptstream.cloud.spectrum import MassSpectrum

_FORMS = (".png", ".pdf", ".svg", ".csv")


def add_range_verbs(app: typer.Typer) -> None:
    """Add the verbs of this module to the command line."""
    app.command()(ranges)
    app.command()(spectrum)


@verb
def ranges(
    file: Annotated[Path, typer.Argument(help="Range file (.rrng, .rng, .env).")],
    to: Annotated[Path | None, typer.Option(help="Write the ranges as RRNG to this file (.rrng).")] = None,
    json_to: JsonTo = None,
) -> None:
    """Check a range file and show its ranges; what is wrong is named by its line.

    Example: `aptstream ranges R5096.rng --to R5096.rrng`
    """
    from aptstream.io import read_ranges, write_rrng

    if to is not None and to.suffix.lower() != ".rrng":
        raise typer.BadParameter(f"found {to.name}, expected a name that ends in .rrng", param_hint="--to")
    table = read_ranges(file)
    if json_to is not None:
        write_json({"ions": list(table.species[1:]), "ranges": [asdict(r) for r in table.ranges]}, json_to)
    else:
        show_ranges(stdout, table)
        n_species = len(table.species) - 1
        low, high = table.bounds_da[0, 0], table.bounds_da[-1, 1]
        stdout.print(
            f"{len(table.ranges)} ranges of {n_species} ions from {low:g} to {high:g} Da, without overlap",
            highlight=False,
        )
    unknown = [ion for ion, atoms in table.atoms.items() if not atoms]
    if unknown:
        stderr.print(
            f"[yellow]note:[/] the atoms of {', '.join(unknown)} are not known: ranged, but in no composition",
            highlight=False,
        )
    if to is not None:
        write_rrng(to, table)
        stderr.print(f"wrote {to}", highlight=False, markup=False)


@verb
def spectrum(
    path: Annotated[Path, typer.Argument(help="Point store, or the output folder of a run.")],
    to: Annotated[Path | None, typer.Option(help="Figure (.png, .pdf, .svg) or table (.csv) to write.")] = None,
    bin_da: Annotated[float, typer.Option("--bin-da", help="Width of the bins in Da.")] = 0.01,
    json_to: JsonTo = None,
) -> None:
    """Draw the mass spectrum, and name the largest peaks that no range holds.

    Example: `aptstream spectrum R5096.zarr --to spectrum.png`
    """
    from aptstream.cloud import open_store
    from aptstream.cloud.ranging import balance
    from aptstream.cloud.spectrum import mass_spectrum, unranged_peaks

    if to is not None and to.suffix.lower() not in _FORMS:
        expected = ", ".join(_FORMS)
        raise typer.BadParameter(f"found {to.name}, expected a name that ends in one of {expected}", param_hint="--to")
    store = open_store(path / "points.zarr" if (path / "points.zarr").is_dir() else path)
    with StageDisplay(stderr) as stages:
        stages.begin("spectrum")
        counted = mass_spectrum(store, bin_da, progress=stages)
    ions = balance(store)
    facts = {"ions read": str(ions), "unranged": f"{ions.n_unranged / store.n_ions:.2%}"}
    peaks = [str(peak) for peak in unranged_peaks(counted)[:5]]
    facts |= {f"unranged peak {i}": peak for i, peak in enumerate(peaks, start=1)} or {"unranged peaks": "none"}
    tell(facts, json_to)
    if to is not None:
        _write(counted, to)
        stderr.print(f"wrote {to}", highlight=False, markup=False)


def _write(counted: MassSpectrum, to: Path) -> None:
    """Write a figure or a table, by the ending of the name."""
    from aptstream.io.replace import replacing

    form = to.suffix.lower()
    if form == ".csv":
        rows = zip(counted.edges_da[:-1].tolist(), counted.counts.tolist(), counted.unranged.tolist(), strict=True)
        lines = ["low_da,ions,unranged", *(f"{low:.4f},{n},{free}" for low, n, free in rows), ""]
        data = "\n".join(lines).encode("ascii")
    else:
        from aptstream.report.spectrum import spectrum_figure
        from aptstream.report.style import figure_bytes

        data = figure_bytes(spectrum_figure(counted), form.removeprefix("."))
    with replacing(to) as stream:
        stream.write(data)
