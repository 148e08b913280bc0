"""The campaign of kills, a few rounds of it."""

from pathlib import Path

import tests.stress.kills as kills


def test_promises_are_kept_in_a_few_rounds(tmp_path: Path) -> None:
    """In each mode; the command runs a thousand, and looks at the time as well."""
    rounds = 3 * len(kills.MODES)
    figures = kills.campaign(rounds, tmp_path, rounds_of_a_receiver=3)
    assert figures.rounds == rounds
    assert figures.supervisors_killed == len(kills.MODES)
    assert figures.acknowledged > rounds
