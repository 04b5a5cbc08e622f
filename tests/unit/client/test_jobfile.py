import re
from dataclasses import fields

import jsonschema
import pytest
import yaml
from tools.build_job_schema import text

from sunward.client import jobfile
from sunward.client.jobfile import Gpus, JobFile, job_of, key_of, schema, template
from sunward.client.yamlfile import read_yaml
from sunward.errors import InputError
from tests.conftest import ROOT

DOCS = (ROOT / "docs" / "job-file.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
KEYS = [key_of(each.name) for each in fields(JobFile)]


def place(path):
    return f"<{path}>"


def read(tmp_path, text):
    file = tmp_path / "job.yaml"
    file.write_text(text)
    return job_of(read_yaml(file).values, place)


REFUSED = {
    "an unknown key": ({"commnd": "x"}, "SW-661", "<commnd>: unknown key 'commnd'; did you mean command?"),
    "another word": ({"deadline": "2h"}, "SW-661", "did you mean finish_within?"),
    "far from any key": ({"zzz": "2h"}, "SW-661", "known are name, command"),
    "an unknown part of gpus": ({"gpus": {"cnt": "1"}}, "SW-661", "<gpus.cnt>: .* did you mean count?"),
    "an unknown part of inputs": ({"inputs": [{"source": "a", "sha": "b"}]}, "SW-661", r"<inputs\[0\].sha>.*sha256"),
    "a word for a number": ({"gpus": "two"}, "SW-662", "gpus must be a whole number or names with values, not 'two'"),
    "no GPU": ({"gpus": {"count": "0"}}, "SW-662", "<gpus.count>: gpus.count must be a whole number >= 1, not '0'"),
    "half an attempt": ({"retries": "1.5"}, "SW-662", "a whole number, not '1.5'; for example retries: 3"),
    "less than no attempt": ({"retries": "-1"}, "SW-662", "retries must be a whole number >= 0"),
    "no length": ({"hours": "0"}, "SW-662", "hours must be a number > 0"),
    "not a number": ({"hours": "nan"}, "SW-662", "hours must be a number > 0"),
    "an endless length": ({"hours": "inf"}, "SW-662", "hours must be a number <= 720"),
    "a negative cost": ({"max_cost": "-1"}, "SW-662", "max_cost must be a number >= 0"),
    "no units": ({"units": "0"}, "SW-662", "units must be a whole number >= 1"),
    "a long name": ({"name": "x" * 201}, "SW-662", "name must be text of length <= 200, not 'x+…'"),
    "no time": ({"finish_within": "0h"}, "SW-662", "finish_within does not take '0h'; for example finish_within: 24h"),
    "a time without unit": ({"timeout": "90"}, "SW-662", "timeout does not take '90'"),
    "an unknown unit of time": ({"start_by": "2w"}, "SW-662", "start_by does not take '2w'"),
    "an unknown class": ({"class": "trainin"}, "SW-662", "<class>: class must be one of training, "),
    "an unknown policy": ({"policy": "green"}, "SW-662", "policy does not take 'green'; for example policy: balanced"),
    "a long country": ({"countries": ["NOR"]}, "SW-662", r"countries\[0\] does not take 'NOR'"),
    "a country alone": ({"countries": "NO"}, "SW-662", "countries must be a list, not 'NO'"),
    "neither true nor false": ({"checkpoint": "maybe"}, "SW-662", "checkpoint must be true or false, not 'maybe'"),
    "checkpoint without units": ({"checkpoint": "true"}, "SW-662", "checkpoint needs units"),
    "env as a list": ({"env": ["A=1"]}, "SW-662", "env must be names with values"),
    "a list in env": ({"env": {"A": ["1"]}}, "SW-662", "env must be text"),
    "a bad name in env": ({"env": {"1A": "x"}}, "SW-662", "env takes names of letters"),
    "a reserved name in env": ({"env": {"SUNWARD_JOB": "x"}}, "SW-662", "do not begin with SUNWARD_"),
    "an input without source": ({"inputs": [{"path": "x"}]}, "SW-662", r"inputs\[0\] needs source"),
    "an input as a word": ({"inputs": ["a"]}, "SW-662", r"inputs\[0\] must be names with values, not 'a'"),
    "an input outside": ({"inputs": [{"source": "a", "path": "../x"}]}, "SW-662", r"does not take '../x'"),
    "half a digest": ({"inputs": [{"source": "a", "sha256": "ab"}]}, "SW-662", "sha256 does not take 'ab'"),
    "an output outside": ({"outputs": ["/etc/*"]}, "SW-662", r"outputs\[0\] does not take '/etc/\*'"),
    "a pipe": ({"command": "a | b"}, "SW-662", "run without a shell"),
    "two lines": ({"command": "a\nb"}, "SW-662", "run without a shell"),
    "an open quote": ({"command": "a 'b"}, "SW-662", "open quote"),
    "names for a command": ({"command": {"run": "x"}}, "SW-662", "command must be text or a list"),
    "array and sweep": ({"array": "2", "sweep": {"a": ["1"]}}, "SW-662", "exclude one another"),
    "a large array": ({"array": "1001"}, "SW-662", "array must be a whole number <= 1000"),
    "an empty sweep": ({"sweep": {"a": []}}, "SW-662", "sweep must be a list of length >= 1"),
    "one value to sweep": ({"sweep": {"a": "1"}}, "SW-662", "sweep must be a list"),
    "a variable twice": ({"sweep": {"A": ["1"]}, "env": {"A": "1"}}, "SW-662", "A is given twice"),
    "a secret twice": ({"secrets": ["A", "A@f"]}, "SW-662", "A is given twice"),
    "a curve of nothing": ({"speedup": ["1"]}, "SW-662", "speedup and gpus.max belong together"),
    "a short curve": ({"gpus": {"min": "1", "max": "3"}, "speedup": ["1"]}, "SW-662", "belong together"),
    "least above most": ({"gpus": {"min": "3", "max": "2"}}, "SW-662", "gpus.min and gpus.max"),
    "least and count": ({"gpus": {"count": "2", "min": "1", "max": "2"}}, "SW-662", "and no count"),
    "most alone": ({"gpus": {"max": "2"}}, "SW-662", "gpus.min and gpus.max"),
    "no pause": (
        {"gpus": {"min": "1", "max": "2"}, "speedup": ["1", "1.5"]},
        "SW-662",
        "needs checkpoint: true",
    ),
    "start after the end": ({"start_by": "2d", "finish_within": "1d"}, "SW-662", "must not be later"),
    "no distance": ({"latency_max": "-1"}, "SW-662", "latency_max must be a whole number >= 0"),
    "a distance in words": ({"latency_max": "near"}, "SW-662", "latency_max"),
    "a webhook elsewhere": ({"webhook": "ftp://x"}, "SW-662", "webhook does not take 'ftp://x'"),
}


@pytest.mark.parametrize(("values", "code", "line"), list(REFUSED.values()), ids=list(REFUSED))
def test_what_is_wrong_is_said_with_its_place_and_a_remedy(values, code, line):
    with pytest.raises(InputError, match=line) as refused:
        job_of(values, place)
    assert refused.value.code == code
    assert refused.value.message.startswith("<")
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("values", [["TOKEN=hunter2"], {"TOKEN": "hunter2"}, "hunter2!"])
def test_a_value_in_place_of_a_secrets_name_is_not_repeated(values):
    with pytest.raises(InputError, match="never a value") as refused:
        job_of({"secrets": values}, place)
    assert "hunter2" not in refused.value.message


def test_every_example_of_the_guide_is_read_and_fits_the_schema(tmp_path):
    assert len(EXAMPLES) >= 4
    for example in EXAMPLES:
        assert read(tmp_path, example).words
        jsonschema.Draft202012Validator(schema()).validate(yaml.safe_load(example.replace("[NO", '["NO"')))


def test_the_examples_mean_what_they_say(tmp_path):
    first, second, elastic, nightly, third, fourth, stored = (read(tmp_path, example) for example in EXAMPLES)
    assert first.needs == Gpus(count=2, memory_gib=80)
    assert (first.checkpoint, first.units, first.max_cost, first.policy) == (True, 3_000, 40.0, "greenest")
    assert second.words == ("python", "eval.py", "--split", "test")
    assert second.env == {"EPOCHS": "3", "DEBUG": "false"}
    assert second.countries == ("NO", "SE")
    assert (elastic.least, elastic.needs.max, elastic.speedup) == (1, 4, (1.0, 1.9, 2.7, 3.4))
    assert stored.inputs[0].path == "data/train.parquet"
    assert stored.secrets == ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    assert (nightly.length_kind, nightly.family, nightly.promise) == ("unknown", "nightly-eval", 0.9)
    assert third.sweep == {"lr": ("0.1", "0.01"), "seed": ("1", "2", "3")}
    assert (fourth.array, fourth.models, fourth.work_class) == (8, ("RTX4090", "RTX3090"), "rendering")


@pytest.mark.parametrize(
    ("length", "kind"), [("", "known"), ("3h", "known"), ("90m", "known"), ("~3h", "estimated"), ("unknown", "unknown")]
)
def test_a_length_is_known_estimated_or_unknown(tmp_path, length, kind):
    assert read(tmp_path, f"command: a\nlength: '{length}'\n").length_kind == kind


@pytest.mark.parametrize("length", ["about 3h", "~", "~0h", "3", "never", "unknown!"])
def test_no_other_length_is_taken(tmp_path, length):
    with pytest.raises(InputError) as refused:
        read(tmp_path, f"command: a\nlength: '{length}'\n")
    assert refused.value.code == "SW-662"
    assert "length: ~3h" in refused.value.message


def test_the_schema_in_the_docs_is_that_of_the_record():
    assert (ROOT / "docs" / "job.schema.json").read_text(encoding="utf-8") == text()
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("values", [{"commnd": "x"}, {"gpus": {"cnt": 1}}, {"gpus": 0.5}, {"countries": "NO"}])
def test_the_schema_refuses_what_the_reader_refuses(values):
    assert list(jsonschema.Draft202012Validator(schema()).iter_errors(values))


BESIDE = {"checkpoint": "\nunits: 9\n", "speedup": "\ngpus: {min: 1, max: 3}\ncheckpoint: true\nunits: 9\n"}
"""What else a file must say where it says one key."""


def test_the_commented_file_holds_every_key_and_reads_line_by_line(tmp_path):
    made = template()
    assert read(tmp_path, made) == JobFile(
        name="finetune", command="python train.py", folder=".", hours=2.0, finish_within="24h"
    )
    for key in KEYS:
        spoken = re.sub(rf"^# ({key}: )", r"\1", made, flags=re.MULTILINE)
        job = read(tmp_path, spoken + BESIDE.get(key, ""))
        jsonschema.Draft202012Validator(schema()).validate(yaml.safe_load(spoken.replace("[NO", '["NO"')))
        changed = next(each.name for each in fields(JobFile) if key_of(each.name) == key)
        assert key in {"retries", "policy", "gpus"} or getattr(job, changed) != getattr(JobFile(), changed)


def test_the_guide_names_every_key():
    table = DOCS[DOCS.index("## Keys") :]
    assert [key for key in KEYS if f"`{key}`" not in table] == []


def test_a_period_is_read_in_seconds():
    assert [jobfile.seconds(word) for word in ("90m", "12h", "2d", "1.5h", "0.001m", "")] == [
        5_400,
        43_200,
        172_800,
        5_400,
        1,
        0,
    ]
