"""The picture of the spine shows the steps that there are."""

from msfa_core.constants import STEPS
from msfa_core.workshop.spine_figure import draw, main


def test_every_step_has_a_box_and_the_file_is_drawn(tmp_path):
    words = [text.get_text() for text in draw().axes[0].texts]
    assert [word for word in words if word in STEPS] == list(STEPS)
    main([str(tmp_path / "spine.png")])
    assert (tmp_path / "spine.png").stat().st_size > 10_000
