"""A challenge on real processes: asked for by the operator, answered by the agent's processor, seen in the audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from sunward.agent.config import CONFIG_FILE
from sunward.cli.demo.scenario import SITES
from sunward.cli.demo.stage import Stage
from sunward.errors import ConflictError
from sunward.model.challenge import ChallengeRules
from sunward.model.trust import Dimension, Level
from tests.e2e.live import SPEED, free_port, wait_until

pytestmark = pytest.mark.slow

SITE = SITES[2]


def test_the_agent_answers_outlives_a_kill_and_the_audit_says_so(tmp_path: Path) -> None:
    with Stage(tmp_path, SPEED, free_port()) as stage:
        stage.start_control()
        stage.start_agent(SITE)
        with stage.client() as client, stage.client("operator") as operator:
            wait_until(lambda: any(site.reachable for site in client.sites()), "the agent answers")
            stage.stop(SITE.site)
            settings = stage.agent_folder(SITE.site) / CONFIG_FILE
            settings.write_text('challenges = "processor"\n' + settings.read_text("utf-8"), "utf-8")
            # So little memory that it shows nothing, and is there.
            operator.set_challenge_rules(ChallengeRules(fill_ppm=1))
            stage.start_agent(SITE)

            def asked() -> bool:
                try:
                    return bool(operator.challenge(SITE.site))
                except ConflictError:
                    # Not back yet, or asked already.
                    return bool(operator.challenges())

            wait_until(asked, "it is challenged")
            stage.kill(SITE.site)
            stage.start_agent(SITE)
            wait_until(lambda: operator.challenges()[0].state not in ("open", "committed"), "it is judged")
            (found,) = operator.challenges()
            assert (found.state, found.containers, found.faults) == ("passed", SITE.count, ())
            assert 0 < found.elapsed_ms <= found.allowed_ms
            identity = operator.site_audit(SITE.site).dimensions[0]
            assert (identity.dimension, identity.level) == (Dimension.IDENTITY, Level.DECLARED)
            (filed,) = identity.evidence
            assert "too little to show the model" in filed.evidence.statement
