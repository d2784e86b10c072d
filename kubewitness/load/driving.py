"""The caller's side of a load: the process that sends it is started, waited for, and never left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final, TypedDict

from kubewitness.clusters.errors import ClusterError, UsageError
from kubewitness.load.plan import Outcome, Plan

PLAN: Final = "plan.jsonl"
OUTCOME: Final = "outcome.jsonl"
_ROOT: Final = Path(__file__).parents[2]
_KEPT_WORDS: Final = 2000


class Reach(TypedDict):
    """The fields of a Plan that say where its server is."""

    server: str
    authority: Path | None
    certificate: Path | None
    key: Path | None


def reach(kubeconfig: Path) -> Reach:
    """Those of a kubeconfig of a cluster that was made here: JSON, with the paths of its certificates."""
    try:
        content = json.loads(kubeconfig.read_text())
        (cluster,) = (each["cluster"] for each in content["clusters"])
        (user,) = (each["user"] for each in content["users"])
        server = str(cluster["server"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UsageError(
            f"{kubeconfig}: wanted a kubeconfig in JSON with one cluster and one user, as local clusters"
            f" have it: {error}"
        ) from error
    places = (cluster.get("certificate-authority"), user.get("client-certificate"), user.get("client-key"))
    authority, certificate, key = (Path(each) if each else None for each in places)
    return {"server": server, "authority": authority, "certificate": certificate, "key": key}


def run(plan: Plan, directory: Path) -> Outcome:
    """Carries it out, and leaves the plan and its outcome in ``directory``; see Outcome.missing.

    The process ends with the caller, however that ends: it has the other end of a pipe of the caller's.
    Raises UsageError for a plan that cannot be carried out, ClusterError if the server cannot be reached.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written, outcome = directory / PLAN, directory / OUTCOME
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    outcome.unlink(missing_ok=True)
    plan.write(written)
    theirs, ours = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "kubewitness.load.sender", "--owner", str(theirs), written, outcome],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            pass_fds=[theirs], env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        try:
            _, told = process.communicate()
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(theirs)
        os.close(ours)
    message = told.strip()[-_KEPT_WORDS:]
    if process.returncode == 2:
        raise UsageError(message)
    if process.returncode not in {0, 4} or not outcome.exists():
        raise ClusterError(message or f"the load's process ended with status {process.returncode}")
    return Outcome.read(outcome)
