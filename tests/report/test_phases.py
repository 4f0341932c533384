"""Tables and figures of both phases, with and without a signal."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from aptstream.crystal import Crystal
from aptstream.phases.amplitudes import NOTHING, Estimate, Waves
from aptstream.phases.sites import ParticleOrder, Sites, SiteShare
from aptstream.phases.species import Z_WINDOW, ZX_WINDOW, OrderFrame, Phase, Phases, PhaseSdm, default_pairs
from aptstream.points import Roles
from aptstream.report.phase_tables import concise, phases_as_json, phases_section, write_phase_tables
from aptstream.report.phases import drawn_pairs, phase_figures
from aptstream.sdm.planes import Planes

SEEN = Waves(Estimate(0.143, 2e-5), Estimate(0.33, 0.01), Estimate(-0.25, 0.02), Estimate(-0.2, 0.01), by_parts=True)
SILENT = Sites(None, (), (ParticleOrder(1, 40, in_core=False, order=None),), 0, by_particles=False)
TOLD = Sites(
    Estimate(0.8, 0.02),
    (SiteShare("Al", 900, Estimate(-0.3, 0.02), Estimate(0.35, 0.01)),),
    (ParticleOrder(1, 900, in_core=True, order=Estimate(0.8, 0.05)), ParticleOrder(2, 40, in_core=False, order=None)),
    2,
    by_particles=False,
)


def phases_with(waves, solutes=("Li", "Mg"), level=60):
    roles, rng = Roles(("Al",), solutes), np.random.default_rng(1)
    both = []
    for name in ("particles", "matrix"):
        sdms = tuple(
            PhaseSdm(a, b, rng.poisson(level, Z_WINDOW.bins_z), rng.poisson(level, ZX_WINDOW.shape), waves)
            for a, b in default_pairs(roles)
        )
        both.append(Phase(name, 100, {"Al": 3000, "Li": 1000}, 0.5, waves.spacing_nm, sdms))
    return Phases(*both, 1.0, OrderFrame(Planes(0.286), Crystal("L12", 0.405), roles))


def refuse(value):
    raise AssertionError(f"{value} in JSON")


@pytest.mark.slow
@pytest.mark.parametrize(("waves", "sites", "level"), [(SEEN, TOLD, 60), (NOTHING, SILENT, 0)])
def test_everything_is_written_whether_or_not_there_is_a_signal(tmp_path, waves, sites, level):
    phases = phases_with(waves, level=level)
    written = write_phase_tables(phases, sites, tmp_path)
    assert [path.name for path in written] == ["phases.csv", "sites.csv", "particle_order.csv"]
    for path in written:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert not {"nan", "None", "inf"} & {value for row in rows for value in row.values()}
    numbers = json.loads(json.dumps(phases_as_json(phases, sites)), parse_constant=refuse)
    pair = numbers["phases"]["particles"]["pairs"]["Li–Li"]
    assert (pair["doubled"] is None) is (waves is NOTHING)
    assert (numbers["order"] is None) is (sites is SILENT)
    pictures = phase_figures(phases, sites, tmp_path / "figures")
    assert [path.name for path in pictures] == ["phase_zsdm.png", "phase_zxsdm.png", "sites.png"]
    assert len(list((tmp_path / "figures").iterdir())) == 9


def test_the_page_is_told_what_stands_out_and_what_does_not():
    told = phases_section(phases_with(SEEN), TOLD)
    assert told.sentence == (
        "The wave of order stands out in the particles by 12.5 σ (Al–Al), in the matrix by "
        "12.5 σ (Al–Al). Order parameter S = 0.80(2) from 2 particles."
    )
    assert told.facts["Al on planes of the solute"] == "0.350(10)"
    assert told.facts["ions counted in the matrix"] == "4,000, 50% of the volume"
    n_pairs = len(phases_with(SEEN).matrix.sdms)
    assert [row[0] for row in told.table.rows] == ["particles"] * n_pairs + ["matrix"] * n_pairs
    assert set(map(len, told.table.rows)) == {len(told.table.columns)}
    silent = phases_section(phases_with(NOTHING), SILENT)
    assert "by nothing that could be measured" in silent.sentence
    assert "the signal does not allow to tell" in silent.sentence


def test_figures_show_elements_and_not_too_many(tmp_path):
    assert drawn_pairs(phases_with(SEEN)) == ["Al–Al", "Al–Li", "Al–Mg", "Li–Li", "Li–Mg", "Mg–Mg"]
    assert drawn_pairs(phases_with(SEEN, ("Li",))) == ["Al–Al", "Al–Li", "Li–Li"]
    assert len(drawn_pairs(phases_with(SEEN, ("Li", "Mg", "Cu", "Zn")))) == 8


@pytest.mark.parametrize(
    ("value", "sigma", "text"),
    [(0.1425, 0.00013, "0.14250(13)"), (-0.25, 0.02, "−0.25(2)"), (12.0, 3.0, "12(3)"), (1, 0, "1.0000000(10)")],
)
def test_errors_stand_in_the_last_digits(value, sigma, text):
    assert concise(Estimate(value, sigma)) == text
