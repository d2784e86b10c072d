"""Coverage-guided fuzzing of a decoder: ``python -m tests.fuzz.fuzz TARGET [SECONDS] [libFuzzer's options]``.

What it finds lies in tests/fuzz/findings/TARGET and is a test from then on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kubewitness", "hpack", "hyperframe"]):
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS, run

FINDINGS = Path(__file__).with_name("findings")


def main() -> None:
    target, *options = sys.argv[1:] or [""]
    if target not in TARGETS:
        sys.exit(f"wanted a target, one of {', '.join(TARGETS)}; found {target!r}")
    seconds = options.pop(0) if options and options[0].isdecimal() else "60"
    corpus, findings = Path(".fuzz") / target, FINDINGS / target
    for directory in (corpus, findings):
        directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=8192"]
    argv = [sys.argv[0], *limits, f"-artifact_prefix={findings}/", *options, str(corpus)]
    atheris.Setup(argv, lambda data: run(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
