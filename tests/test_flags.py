"""Flags: every bit is one power of two, says what it means, and survives being combined."""

import numpy as np
import pytest

from msfa_core.flags import FitFlag, SentenceFlag, UidFlag, combined

KINDS = SentenceFlag.__subclasses__()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_flag_is_one_bit_with_its_own_sentence(kind):
    assert [int(flag) for flag in kind] == [1 << place for place in range(len(kind))]
    sentences = [flag.sentence for flag in kind]
    assert all(sentences)
    assert len(set(sentences)) == len(kind)
    assert kind.sentences(sum(kind)) == sentences
    assert kind.sentences(0) == []


def test_there_are_eight_kinds():
    assert len(KINDS) == 8


def test_flags_read_from_a_table_say_what_they_mean():
    assert UidFlag.sentences(np.int64(9)) == [
        UidFlag.SEVERAL_IDS.sentence,
        UidFlag.NO_POSITION.sentence,
    ]
    assert all(flag.sentence.endswith(".") for flag in FitFlag)


def test_conditions_become_bits():
    blended, poor = np.array([[True, False]]), np.array([[True, True]])
    flags = combined({FitFlag.BLENDED: blended, FitFlag.POOR_FIT: poor})
    assert flags.tolist() == [[131072 + 16, 16]]
