"""An anchor on real processes: named by the operator, called by the agent, and its word in the audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from sunward.agent.identity import load_key, public_key
from sunward.cli.anchor import KEY_FILE
from sunward.cli.demo.scenario import SITES
from sunward.cli.demo.stage import Stage
from sunward.model.place import Anchor, PlaceRules
from sunward.model.trust import Dimension, Level
from sunward.model.trust_views import DimensionLine, EvidenceLine
from tests.e2e.live import SPEED, free_port, wait_until

pytestmark = pytest.mark.slow

SITE = SITES[2]


def test_an_anchor_measures_a_site_and_the_audit_says_so(tmp_path: Path) -> None:
    with Stage(tmp_path, SPEED, free_port()) as stage:
        stage.start_control()
        stage.start_agent(SITE)
        port = free_port()
        key = public_key(load_key(stage.home, KEY_FILE))
        here = Anchor(name="here", key=key, lat_udeg=52_230_000, lon_udeg=21_010_000, address=f"127.0.0.1:{port}")
        with stage.client("operator") as operator:
            wait_until(lambda: any(site.reachable for site in operator.sites()), "the agent answers")
            operator.set_place_rules(PlaceRules(level=Level.ENDORSED, anchors=(here,)))
            words = ["anchor", "--at", "52.23,21.01", "--listen", here.address]
            stage._spawn("anchor", words)
            wait_until(lambda: _round_trips(operator.site_audit(SITE.site).dimensions), "it is measured")
            (line,) = _round_trips(operator.site_audit(SITE.site).dimensions)
            assert line.evidence.statement.startswith("round trips to anchors (1) leave ")
            assert line.evidence.value is not None
            assert line.evidence.value > 0
            wait_until(lambda: "measured" in stage.log("anchor").read_text(), "the anchor says so")
        assert stage.stop("anchor") == 0


def _round_trips(dimensions: tuple[DimensionLine, ...]) -> list[EvidenceLine]:
    (place,) = [one for one in dimensions if one.dimension is Dimension.PLACE]
    return list(place.evidence)
