"""Go programs that write down the secrets of their TLS connections, where SSLKEYLOGFILE says.

Go's crypto/tls does that only for a program that asks for it in its code, and
no component of Kubernetes does. So one file of the toolchain is replaced while
such a program is compiled, and one is added; its own source stays as it is.
"""

import json
from pathlib import Path
from typing import Final

from kubewitness.assets.golang import GoError, Toolchain

_WRITER: Final = """\
package tls

import (
	"io"
	"os"
	"sync"
)

var keyLogOfEnvironment = sync.OnceValue(func() io.Writer {
	name := os.Getenv("SSLKEYLOGFILE")
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic("crypto/tls: SSLKEYLOGFILE: " + err.Error())
	}
	return file
})
"""
#: What is replaced in crypto/tls/common.go, each once.
_CHANGES: Final = {
    "if c.KeyLogWriter == nil {\n\t\treturn nil\n\t}": (
        "writer := c.KeyLogWriter\n\tif writer == nil {\n\t\twriter = keyLogOfEnvironment()\n\t}\n"
        "\tif writer == nil {\n\t\treturn nil\n\t}"
    ),
    "c.KeyLogWriter.Write(logLine)": "writer.Write(logLine)",
}


def overlay(go: Toolchain, folder: Path) -> Path:
    """The file for `go build -overlay`, made in a build's folder. GoError if this Go's source is unknown."""
    with go.start(["env", "GOROOT"], folder) as asked:  # there: its go.mod chooses the toolchain
        tls = Path(asked.wait(lambda _: None).strip()) / "src" / "crypto" / "tls"
    changed = (tls / "common.go").read_text()
    for old, new in _CHANGES.items():
        if changed.count(old) != 1:
            raise GoError(f"{tls / 'common.go'} has {changed.count(old)} times {old!r}, wanted is once")
        changed = changed.replace(old, new)
    replaced = {tls / "common.go": changed, tls / "key_log_of_environment.go": _WRITER}
    for original, text in replaced.items():
        (folder / f"tls-{original.name}.txt").write_text(text)
    file = folder / "overlay.json"
    replacing = {str(original): str(folder / f"tls-{original.name}.txt") for original in replaced}
    file.write_text(json.dumps({"Replace": replacing}))
    return file
