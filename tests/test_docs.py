"""Every example in a docstring runs as printed."""

import doctest
import importlib
import pkgutil

import pytest

import aptstream

MODULES = [
    m.name for m in pkgutil.walk_packages(aptstream.__path__, "aptstream.") if not m.name.startswith("aptstream._")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name):
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.failed == 0
