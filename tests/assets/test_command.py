"""The command line: what it prints, and its exit status."""

import argparse
import json

import pytest

from kubewitness.assets.command import add_parser
from tests.assets.made_up_go import WRITES_KEYS, Go


def call(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["assets", *arguments])
    status = args.run(args)
    assert isinstance(status, int)
    return status


def test_table_names_version_origin_and_path(go: Go, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version", "1.37", "kubectl") == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1].split()[:3] == ["kubectl", "1.37.2", "build"]
    assert "kubernetes: building kubectl" in printed.err
    assert go.builds


def test_json_is_one_object(go: Go, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--json", "kubectl", "agnhost") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kubernetes"] == "1.37.2"
    assert [binary["name"] for binary in told["binaries"]] == ["kubectl", "agnhost"]
    assert "registry.k8s.io/pause:3.10.2" in told["images"]
    assert go.builds


def test_a_server_that_logs_keys_comes_with_the_rest(go: Go, capsys: pytest.CaptureFixture[str]) -> None:
    go.have_tls(WRITES_KEYS)
    assert call("--json", "--key-log", "kubectl") == 0
    told = json.loads(capsys.readouterr().out)
    assert [binary["name"] for binary in told["binaries"]] == ["kubectl", "kube-apiserver-key-log"]


@pytest.mark.parametrize(("version", "status"), [("1.5", 2), ("1.37.2", 3)])
def test_errors_have_their_exit_status(version: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version", version, "kubectl") == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("kubewitness assets: ") == 1


def test_help_teaches_the_search(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call("--help")
    text = capsys.readouterr().out
    for word in (
        "KUBEWITNESS_ASSETS",
        "KUBEBUILDER_ASSETS",
        "KUBEWITNESS_CACHE",
        "KUBEWITNESS_MIRROR",
        "cache",
    ):
        assert word in text
