"""The guides, followed word by word on a machine that knows nothing of Sunward yet."""

import shutil

import pytest

from tests.e2e import guides

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="the guides ask for bubblewrap"),
]


@pytest.mark.parametrize("who", ["tenant", "provider", "operator"])
def test_a_stranger_gets_through_the_first_hour(who, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    guides.follow(guides.DOCS / f"guide-{who}.md", home)
