import textwrap
from pathlib import Path

import pytest

from tamperscan.errors import ServeError
from tamperscan.serve.rules import SeriesFacts, read_rules
from tamperscan.serve.settings import Peer

GOOD = """\
node:
  ae_title: SCREEN
destinations:
  pacs: {kind: dicom, host: 127.0.0.1, port: 104, ae_title: PACS}
rules:
  - name: thin chest
    when: {modality: CT, body_part: [CHEST, LUNG], series_description: "(?i)lung", slice_thickness: {at_most: 3}}
    head: combined
    alarm_rate: 0.01
    send_to: pacs
    keep_originals: false
  - name: from the trial
    when: {sender: TRIAL*}
    screen: false
  - name: rest
"""
STOW = "kind: stow, url: 'https://pacs.example', token_file: /none.token"


def read(tmp_path, text):
    path = tmp_path / "rules.yaml"
    path.write_text(textwrap.dedent(text))
    return read_rules(path)


@pytest.fixture
def rules(tmp_path):
    return read(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"modality": "CT", "body_part": "chest", "description": "Lung B60f", "slice_thickness": 1.0}, "thin chest"),
        ({"modality": "CT", "body_part": "CHEST", "description": "Lung B60f", "slice_thickness": 5.0}, "rest"),
        ({"modality": "CT", "body_part": "CHEST", "description": "Lung B60f"}, "rest"),
        ({"modality": "CT", "body_part": "HEAD", "description": "lung", "slice_thickness": 1.0}, "rest"),
        ({"modality": "MR", "sender": "TRIAL_7"}, "from the trial"),
        ({"modality": "MR", "sender": "trial_7"}, "rest"),
    ],
)
def test_the_first_rule_that_fits_counts(rules, facts, name):
    assert rules.rule_for(SeriesFacts(**facts)).name == name


def test_a_rule_says_all_that_is_done(rules):
    rule = rules.rule_named("thin chest")
    assert (rule.head, rule.alarm_rate, rule.send_to, rule.keep_originals) == ("combined", 0.01, ("pacs",), False)
    assert rule.model_for("CT") == "ct"
    assert rule.model_for("MR") == "mr"
    assert rules.node.ae_title == "SCREEN"


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("port: 104", "port: 104444", 4, "less than or equal to 65535"),
        ("kind: dicom", "kind: dcm", 4, "kind"),
        ("ae_title: PACS", "ae_title: PACS, results: [maps]", 4, "'report', 'findings', 'map', 'key-images' or 'pdf'"),
        ("send_to: pacs", "send_to: packs", 10, "'packs' is no destination"),
        ("alarm_rate: 0.01", "alarm_rate: often", 9, "number"),
        ("alarm_rate: 0.01", "alarm-rate: 0.01", 9, "not permitted"),
        ('"(?i)lung"', '"(lung"', 7, "regular expression"),
        ("ae_title: SCREEN", "ae_title: A TITLE THAT IS TOO LONG", 2, "no AE title"),
        ("name: rest", "name: thin chest", 15, "two rules are called"),
        ("screen: false", "screen: false\n    screen: true", 15, "second time"),
        ("destinations:", "destinations", 4, "no valid YAML"),
        ("head: combined", "head: strongest", 8, "typicality"),
        ("head: combined", "head: combined\n    detector: mr", 8, "'mr' has no head 'combined'"),
        ("modality: CT,", "", 8, "'mr' has no head 'combined'"),
        ("head: combined", "head: combined\n    detector: published", 8, "it has: none"),
        ("ae_title: PACS}", "ae_title: PACS, trust: /none.pem}", 4, "no file that can be read"),
        (
            "kind: dicom, host: 127.0.0.1, port: 104, ae_title: PACS",
            "kind: stow, url: 'http://a', token_file: n",
            4,
            "no f",
        ),
    ],
)
def test_an_error_is_told_with_line_and_reason(tmp_path, old, new, line, reason):
    assert old in GOOD
    with pytest.raises(ServeError) as raised:
        read(tmp_path, GOOD.replace(old, new))
    assert f"line {line}:" in str(raised.value)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "rules: []", "- 1", "rules: {a: 1}", "a: [", "\t", "? [a]: 1", "rules: &a [*a]"])
def test_what_are_no_rules_is_refused_in_one_line(tmp_path, text):
    with pytest.raises(ServeError) as raised:
        read(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_a_detector_that_is_not_there_is_told_at_once(tmp_path):
    with pytest.raises(ServeError, match="no packaged detector"):
        read(tmp_path, "rules: [{name: a, detector: ctx}]")


def test_a_head_that_the_detector_has_is_taken(tmp_path):
    assert read(tmp_path, "rules: [{name: a, head: typicality}, {name: b, detector: ct, head: self-forged}]")


def test_a_file_that_can_not_be_read_is_told(tmp_path):
    with pytest.raises(ServeError, match="can't be read"):
        read_rules(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ServeError, match="can't be read"):
        read_rules(tmp_path / "binary.yaml")


def test_the_example_of_the_documentation_is_valid():
    page = Path(__file__).parents[2] / "docs" / "how-to" / "node-rules.yaml"
    rules = read_rules(page)
    assert rules.rule_for(SeriesFacts(modality="CT", body_part="CHEST", slice_thickness=1.0)).send_to
    assert rules.rule_for(SeriesFacts(modality="US")) is not None


@pytest.mark.parametrize(
    ("peer", "title", "address", "allowed"),
    [
        ({"ae_title": "CT*"}, "CT1", "10.0.0.1", True),
        ({"ae_title": "CT*"}, "MR1", "10.0.0.1", False),
        ({"address": "10.0.0.0/24"}, "ANY", "10.0.0.77", True),
        ({"address": "10.0.0.0/24"}, "ANY", "10.0.1.77", False),
        ({"address": "10.0.0.7"}, "ANY", "::ffff:10.0.0.7", True),
        ({"address": "fe80::/10"}, "ANY", "fe80::1%eth0", True),
        ({"address": "10.0.0.7"}, "ANY", "nonsense", False),
    ],
)
def test_a_peer_is_known_by_title_and_address(peer, title, address, allowed):
    assert Peer(**peer).allows(title, address) is allowed


@pytest.mark.parametrize(
    "text",
    [
        "rules: [{name: a\0b}]",
        "a: &a [x, x]\n"
        + "".join(
            f"{new}: &{new} [{', '.join(['*' + old] * 20)}]\n" for old, new in zip("abcde", "bcdef", strict=True)
        ),
        "a: &a [*a]",
        "[" * 5000,
    ],
    ids=["control character", "billions of values", "itself", "too deep"],
)
def test_hostile_yaml_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(ServeError) as caught:
        read_rules(path)
    assert str(caught.value).isprintable()
