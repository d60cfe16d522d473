"""What can be checked of the container files without building a container."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from orthanc import AE_TITLE, missing_parts, running_orthanc

from tamperscan.serve.rules import SeriesFacts, read_rules

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
CONTAINERFILE = (DOCKER / "Containerfile").read_text()


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def rules():
    return read_rules(DOCKER / "rules.yaml")


def joined(text):
    return text.replace("\\\n", " ")


def instructions(name):
    return re.findall(rf"^{name} (.*)$", joined(CONTAINERFILE), flags=re.MULTILINE)


def words_of_command(*words):
    """The help of a command, run as the containers run it."""
    program = [sys.executable, "-m", "tamperscan", *words, "--help"]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout


def test_the_image_installs_extras_that_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r'pip install .*"\.\[([a-z,]+)\]"', joined(CONTAINERFILE))
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert not any("torch" in needed for needed in project["dependencies"])


def test_the_image_is_built_of_files_that_exist():
    ignored = (DOCKER / "Containerfile.dockerignore").read_text()
    for line in instructions("COPY"):
        if line.startswith("--from"):
            continue
        for name in line.split()[:-1]:
            assert (ROOT / name).exists(), name
            assert f"!{name}\n" in ignored, name


def test_the_image_does_not_run_as_root():
    assert instructions("USER") == ["tamperscan"]
    assert CONTAINERFILE.index("\nUSER ") < CONTAINERFILE.index("\nENTRYPOINT ")


def test_only_the_built_environment_is_in_the_image():
    assert len(instructions("FROM")) == 2
    assert "pip install" not in joined(CONTAINERFILE).split("\nFROM ")[-1]


def test_commands_and_options_of_the_containers_exist(compose):
    commands = [json.loads(instructions("CMD")[-1]), compose["services"]["page"]["command"]]
    for command, *rest in commands:
        known = words_of_command(command)
        for option in (word for word in rest if word.startswith("--")):
            assert option in known, (command, option)


def test_what_is_mounted_exists(compose):
    for service in compose["services"].values():
        for volume in service["volumes"]:
            source, target, *_ = volume.split(":")
            assert target.startswith("/")
            assert (DOCKER / source).is_file() if source.startswith(".") else source in compose["volumes"], volume


def test_the_containers_names_fit_together(compose, rules):
    services = compose["services"]
    orthanc = json.loads((DOCKER / "orthanc.json").read_text())
    title, host, port = orthanc["DicomModalities"]["tamperscan"]
    assert (title, port) == (rules.node.ae_title, rules.node.port)
    assert host in services
    archive = rules.destinations["archive"]
    assert archive.host in services
    assert (archive.ae_title, archive.port) == (orthanc["DicomAet"], orthanc["DicomPort"])
    assert rules.node.peers[0].allows(orthanc["DicomAet"], "10.0.0.7")
    mounted = {volume.split(":")[1] for volume in services["orthanc"]["volumes"]}
    assert set(orthanc["LuaScripts"]) <= mounted
    for name in (one for service in services.values() for one in service.get("depends_on", ())):
        assert name in services


def test_health_is_asked_where_it_is_told(compose, rules):
    assert f"127.0.0.1:{rules.node.metrics_port}/health" in CONTAINERFILE
    page = compose["services"]["page"]
    port = page["command"][page["command"].index("--port") + 1]
    assert f"127.0.0.1:{port}/health" in " ".join(page["healthcheck"]["test"])


def test_only_dicom_is_open_to_other_machines(compose):
    published = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert [port for port in published if not port.startswith("127.0.0.1:")] == ["4242:4242"]


def test_secrets_come_from_the_environment_and_have_no_default(compose):
    used = set(re.findall(r"\$\{([A-Z_]+):\?", (DOCKER / "compose.yaml").read_text()))
    lines = [line for line in (DOCKER / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    assert used == {line.rstrip("=") for line in lines}
    assert all(line.endswith("=") for line in lines)
    users = compose["services"]["orthanc"]["environment"]["ORTHANC__REGISTERED_USERS"]
    json.loads(re.sub(r"\$\{[^}]*\}", "x", users))


def test_the_rules_take_thin_ct_and_mr(rules):
    assert rules.rule_for(SeriesFacts(modality="CT", slice_thickness=1.25, sender=AE_TITLE)).name == "chest-ct"
    assert rules.rule_for(SeriesFacts(modality="MR", sender=AE_TITLE)).name == "mr"
    assert rules.rule_for(SeriesFacts(modality="CR", sender=AE_TITLE)) is None


def test_nothing_is_executable_that_need_not_be():
    assert not [path for path in DOCKER.iterdir() if os.access(path, os.X_OK)]


@pytest.mark.skipif(bool(missing_parts()), reason=missing_parts())
def test_orthanc_takes_the_configuration(tmp_path):
    settings = json.loads((DOCKER / "orthanc.json").read_text())
    settings = {name: value for name, value in settings.items() if name not in ("HttpPort", "DicomPort")}
    settings |= {"LuaScripts": [str(DOCKER / "route.lua")], "RegisteredUsers": {"x": "y"}, "RemoteAccessAllowed": False}
    with running_orthanc(tmp_path / "orthanc", **settings) as orthanc:
        with orthanc.client as client:
            assert client.get("/system", auth=("x", "y")).json()["Name"] == settings["Name"]
            assert client.get("/dicom-web/studies", auth=("x", "y")).json() == []
            assert client.get("/system").status_code == 401
        assert "Bad file format" not in orthanc.log()
