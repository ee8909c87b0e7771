"""What deploys the software names files that exist, images of one version, and no secrets."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SECRETS = ("deploy/secrets/pgpass", "deploy/secrets/db_password", "deploy/secrets/users")


def compose():
    return yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def test_compose_names_files_that_exist_and_images_of_one_version():
    said = compose()
    assert set(said["services"]) == {"app", "db", "proxy"}
    for name, service in said["services"].items():
        image, _, tag = service["image"].partition(":")
        assert re.fullmatch(r"\d+\.\d+[\w.-]*", tag), f"{name} takes {image}:{tag or 'latest'}"
        for secret in service.get("secrets", []):
            assert (secret if isinstance(secret, str) else secret["source"]) in said["secrets"]
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).is_file()
            elif not source.startswith("${"):
                assert source in said["volumes"]
        for other in service.get("depends_on", []):
            assert other in said["services"]
    assert sorted(entry["file"] for entry in said["secrets"].values()) == sorted(SECRETS)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert said["services"]["app"]["image"] == f"msfa-bhb:{version}"


def test_no_secret_is_in_what_deploys():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "deploy/secrets/" in ignored
    assert "deploy/secrets" in (ROOT / ".dockerignore").read_text().splitlines()
    said = compose()
    for service in said["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("(?i)password|secret|token", name):
                assert str(value).startswith("/run/secrets/")
            assert not re.search(r"://[^/@\s]+:[^/@\s]+@", str(value)), f"{name} holds a password"


def test_the_image_copies_files_that_exist_and_runs_as_nobody_special():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    base = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert all(re.search(r":\d+\.\d+\.\d+", one) for one in base)
    for line in lines:
        if line.startswith("COPY"):
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), line
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users and users[-1] != "root"


def test_the_image_takes_torch_for_processors_unless_it_is_told_otherwise():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("ARG TORCH_INDEX=")] == [
        "ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu"
    ]
    first = next(line for line in lines if line.startswith("RUN pip install"))
    assert first.endswith(' ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch')
