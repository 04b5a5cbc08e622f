import hashlib

import pytest

from sunward.client.jobfile import job_of
from sunward.client.prepare import for_member, for_quote, gather, members, request_of
from sunward.errors import InputError
from sunward.model.hardware import WorkClass
from sunward.model.wire import InputFile

DIGEST = "ab" * 32


def place(path):
    return f"<{path}>"


def job(**values):
    return job_of({"command": "python train.py", **values}, place)


def gathered(tmp_path, environ=None, **values):
    return gather(job(**values), tmp_path, environ or {}, place)


def request(tmp_path, environ=None, **values):
    return request_of(job(**values), gathered(tmp_path, environ, **values), "DE")


def sha(raw):
    return hashlib.sha256(raw).hexdigest()


def test_a_job_becomes_the_request_it_describes(tmp_path):
    (tmp_path / "requirements.txt").write_text("numpy==2.1\n")
    made = request(
        tmp_path,
        gpus={"count": "2", "memory_gib": "40", "model": ["A100-SXM-80GB"]},
        hours="0.5",
        finish_within="12h",
        start_by="2h",
        timeout="1h",
        units="9",
        unit="step",
        checkpoint="true",
        policy="250",
        countries=["no"],
        max_cost="7.5",
        retries="0",
        setup="requirements.txt",
        env={"A": "1"},
        outputs=["*.txt"],
        webhook="https://example.org/x",
        zone="NO-NO1",
        **{"class": "training"},
    )
    assert (made.name, made.command, made.env) == ("python", ("python", "train.py"), {"A": "1"})
    assert (made.gpus, made.gpu_memory_gib, made.gpu_models) == (2, 40, ("A100-SXM-80GB",))
    assert (made.length_s, made.deadline_s, made.start_by_s, made.timeout_s) == (1_800, 43_200, 7_200, 3_600)
    assert (made.units, made.functional_unit, made.interruptible, made.retries) == (9, "step", True, 0)
    assert (made.policy, made.countries, made.budget_usd) == ("250", ("NO",), 7.5)
    assert (made.setup, made.outputs, made.webhook) == ("numpy==2.1\n", ("*.txt",), "https://example.org/x")
    assert (made.work_class, made.origin_zone) == (WorkClass.TRAINING, "NO-NO1")


def test_a_day_is_the_deadline_unless_the_start_is_bound(tmp_path):
    assert request(tmp_path).deadline_s == 86_400
    assert request(tmp_path).origin_zone == "DE"
    bound = request(tmp_path, start_by="1h")
    assert (bound.deadline_s, bound.start_by_s) == (0, 3_600)


def test_packages_and_a_requirements_file_are_the_same_text(tmp_path):
    assert gathered(tmp_path, setup=["numpy==2.1", "torch"]).setup == "numpy==2.1\ntorch\n"


def test_secrets_come_from_the_environment_and_from_files(tmp_path):
    (tmp_path / "key").write_text("from file\n")
    found = gathered(tmp_path, {"TOKEN": "from env", "OTHER": "x"}, secrets=["TOKEN", "KEY@key"])
    assert found.secrets == {"TOKEN": "from env", "KEY": "from file"}


def test_a_quote_is_asked_without_what_is_private_or_not_stored(tmp_path):
    (tmp_path / "data").write_bytes(b"123")
    remote = {"source": "https://example.org/b.csv", "sha256": DIGEST}
    made = request(tmp_path, {"T": "s3cret"}, secrets=["T"], inputs=[{"source": "data"}, remote])
    asked = for_quote(made)
    assert asked.secrets == {}
    assert asked.inputs == (InputFile(path="b.csv", sha256=DIGEST, url="https://example.org/b.csv"),)
    assert asked.data_bytes == made.data_bytes == 3
    assert made.secrets == {"T": "s3cret"}


def test_inputs_are_files_folders_and_addresses(tmp_path):
    (tmp_path / "set" / "deep").mkdir(parents=True)
    (tmp_path / "set" / "a").write_bytes(b"a")
    (tmp_path / "set" / "deep" / "b").write_bytes(b"b")
    (tmp_path / "one.csv").write_bytes(b"one")
    found = gathered(
        tmp_path,
        inputs=[
            {"source": "one.csv", "path": "data/1.csv", "sha256": sha(b"one")},
            {"source": "set"},
            {"source": "s3://bucket/x/y.bin", "sha256": DIGEST},
        ],
    )
    assert [(each.path, each.sha256, each.url) for each in found.inputs] == [
        ("data/1.csv", sha(b"one"), ""),
        ("set/a", sha(b"a"), ""),
        ("set/deep/b", sha(b"b"), ""),
        ("y.bin", DIGEST, "s3://bucket/x/y.bin"),
    ]
    assert {digest: file.name for digest, file in found.uploads.items()} == {
        sha(b"one"): "one.csv",
        sha(b"a"): "a",
        sha(b"b"): "b",
    }
    assert found.data_bytes == 5


@pytest.mark.parametrize(
    ("values", "code", "line"),
    [
        ({"secrets": ["ABSENT"]}, "SW-663", r"<secrets\[0\]>: secret ABSENT is not in the environment; export it"),
        ({"secrets": ["A@absent"]}, "SW-664", r"<secrets\[0\]>: cannot read .*absent"),
        ({"setup": "absent.txt"}, "SW-664", "<setup>: cannot read .*absent.txt"),
        ({"setup": "latin"}, "SW-664", "<setup>: .*latin is not UTF-8 text"),
        ({"setup": "huge"}, "SW-664", "<setup>: .*huge is larger than 1 MiB"),
        ({"setup": "."}, "SW-664", "<setup>: cannot read"),
        ({"inputs": [{"source": "absent"}]}, "SW-664", r"<inputs\[0\].source>: cannot read .*absent"),
        ({"inputs": [{"source": "ftp://x/y", "sha256": DIGEST}]}, "SW-664", "not from ftp://x/y"),
        ({"inputs": [{"source": "http://x/y", "sha256": DIGEST}]}, "SW-664", "not from http://x/y"),
        ({"inputs": [{"source": "https://x/y"}]}, "SW-664", "needs its sha256"),
        ({"inputs": [{"source": "latin", "sha256": DIGEST}]}, "SW-664", "another sha256"),
        ({"inputs": [{"source": "latin"}, {"source": "huge", "path": "latin"}]}, "SW-664", "two inputs would become"),
    ],
)
def test_what_is_missing_is_named(tmp_path, values, code, line):
    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "huge").write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(InputError, match=line) as refused:
        gathered(tmp_path, **values)
    assert refused.value.code == code


def test_each_member_of_an_array_differs_in_name_variables_and_command(tmp_path):
    values = {"command": ["run", "{lr}/{index}", "{other}", "{}"], "sweep": {"lr": ["0.1", "0.2"], "n": ["1", "2"]}}
    whole = request(tmp_path, name="s", env={"A": "b"}, **values)
    made = [for_member(whole, member) for member in members(job(**values), place)]
    assert [each.name for each in made] == ["s[0]", "s[1]", "s[2]", "s[3]"]
    assert made[2].command == ("run", "0.2/2", "{other}", "{}")
    assert made[3].env == {"A": "b", "lr": "0.2", "n": "2", "SUNWARD_ARRAY_INDEX": "3", "SUNWARD_ARRAY_COUNT": "4"}


def test_an_array_counts_and_a_single_job_has_no_members():
    assert [member.index for member in members(job(array="3"), place)] == [0, 1, 2]
    assert members(job(), place) == ()


def test_a_sweep_beyond_the_limit_is_refused_before_it_is_spread():
    ten = [str(value) for value in range(10)]
    assert len(members(job(sweep={"a": ten, "b": ten, "c": ten}), place)) == 1_000
    with pytest.raises(InputError, match="<sweep>: 1000000000000 jobs asked, at most 1000") as refused:
        members(job(sweep={f"v{index}": ten for index in range(12)}), place)
    assert refused.value.code == "SW-665"


@pytest.mark.parametrize(
    ("said", "length_s", "kind"),
    [
        ({"hours": "2"}, 7_200, "known"),
        ({"length": "90m"}, 5_400, "known"),
        ({"length": "~3h"}, 10_800, "estimated"),
        ({"length": "unknown"}, 0, "unknown"),
        ({"length": "2h", "hours": "9"}, 7_200, "known"),
    ],
)
def test_a_length_becomes_seconds_and_what_is_known_of_it(tmp_path, said, length_s, kind):
    made = request(
        tmp_path,
        **said,
        promise="0.9",
        family="nightly",
        wait_max="6h",
        min_run="30m",
        stop_cost="5m",
        latency_max="60",
        evidence={"place": "metered"},
        max_slowdown="0.05",
    )
    assert (made.length_s, made.length_kind) == (length_s, kind)
    assert (made.promise, made.family) == (0.9, "nightly")
    assert (made.wait_max_s, made.min_run_s, made.stop_s) == (21_600, 1_800, 300)
    assert made.latency_max_ms == 60
    assert made.evidence == {"place": "metered"}
    assert made.max_slowdown == 0.05
    assert made.deadline_s == 0, "the longest wait leaves the deadline to the service"
