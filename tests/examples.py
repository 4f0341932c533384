"""How many inputs Hypothesis tries: a quarter in the plain suite, all with ``--hypothesis-profile=thorough``."""

from __future__ import annotations

from typing import Any

import hypothesis

#: What a test tries that does not say how many, in either profile.
PLAIN, THOROUGH = 25, 100


def examples(n: int, **others: Any) -> hypothesis.settings:
    """Settings of a test whose inputs are dearer than most, or cheaper: `n` of them where all are tried."""
    share = hypothesis.settings.default.max_examples / THOROUGH
    return hypothesis.settings(max_examples=round(n * share) or 1, **others)
