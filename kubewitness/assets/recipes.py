"""Which binaries there are, and from which module, packages and official release each comes."""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from kubewitness.model.behaviour import parse_minor
from kubewitness.model.needs import CSI_DRIVER, SIMULATED_NODES, TLS_KEYS
from kubewitness.model.versions import has_endpoint_slices, speaks_runtime_v1

FIRST_MINOR: Final = 29
LAST_MINOR: Final = 37
KEY_LOGGING_API_SERVER: Final = "kube-apiserver-key-log"
KIND: Final = "provider kind"  # what the bundle is had for
DELAYED_SCHEDULER: Final = "delayed-scheduler"  # likewise: a scheduler that judges the judge of latencies
INSECURE_MINOR: Final = "1.19"  # the last whose API server serves plaintext
MINORS: Final = (INSECURE_MINOR, *(f"1.{minor}" for minor in range(FIRST_MINOR, LAST_MINOR + 1)))

ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}

KUBERNETES_COMMANDS: Final = (
    "kube-apiserver",
    "kube-scheduler",
    "kube-controller-manager",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "kubeadm",
)

ETCD_OF_MINOR: Final = {  # as pinned by the go.mod of each minor's newest patch, for downloads
    "1.19": "3.4.12", "1.29": "3.5.10", "1.30": "3.5.10", "1.31": "3.5.13", "1.32": "3.5.16",
    "1.33": "3.5.21", "1.34": "3.6.4", "1.35": "3.6.5", "1.36": "3.6.8", "1.37": "3.7.0",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Release:
    """Where an official binary is. {name} stands for the binary's name in all three.

    `checksums` is the URL of its SHA-256 sum, alone or in a list. `member` is the binary's path inside the
    tar archive that `url` is; "" if it is the binary itself.
    """

    version: str
    url: str
    checksums: str
    member: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """A package that upstream generates before it builds, and does not publish.

    `generator` is a main package of a module that upstream pins; it reads the packages in which a comment
    holds `tag`.
    """

    package: str
    generator: str
    tag: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """Binaries that one module gives and one call of `go build` makes.

    `version` is the module's; `packages` maps each binary to its main package. `stamps` are set by the
    linker's -X. `main` is the source of a main package of our own, instead of the module's or beside them. It
    may need nothing but Go: then `module` is "". `replaces` has other modules than those that upstream's
    go.mod names, as "path version". `need` is that of the behaviours for which alone the bundle
    is had; "" if every cluster is made of it. With ``key_log`` the binaries write down the secrets of their
    TLS connections.
    """

    name: str
    module: str
    version: str
    packages: Mapping[str, str]
    stamps: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    needs_c: bool = False
    main: str = ""
    replaces: Mapping[str, str] = field(default_factory=dict)
    generation: Generation | None = None
    need: str = ""
    key_log: bool = False
    releases: Mapping[str, Release] = field(default_factory=dict)

    def key(self) -> str:
        """Changes when the recipe changes, so that a cache never serves what an older recipe made."""
        recipe: tuple[object, ...] = (
            self.module,
            self.version,
            sorted(self.stamps.items()),
            self.tags,
            self.main,
            architecture(),
        )
        if self.replaces or self.generation:
            recipe += (sorted(self.replaces.items()), self.generation)
        if self.key_log:
            recipe += ("key log",)
        return hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]


def architecture() -> str:
    """This host's, in Go's spelling."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


# Modules that 1.19 pins and that today's Go does not compile, and one whose host is gone. The first two come
# with each other; the last is the same code elsewhere.
_REPLACED_IN_1_19: Final = {
    "github.com/json-iterator/go": "github.com/json-iterator/go v1.1.12",
    "github.com/modern-go/reflect2": "github.com/modern-go/reflect2 v1.0.2",
    "golang.org/x/sys": "golang.org/x/sys v0.30.0",
    "vbom.ml/util": "github.com/fvbommel/util v0.0.0-20180919145318-efcd4e0f9787",
}
_GENERATED_IN_1_19: Final = Generation(
    package="k8s.io/kubernetes/pkg/generated/openapi",
    generator="k8s.io/kube-openapi/cmd/openapi-gen",
    tag="+k8s:openapi-gen=true",
)


def _kubernetes(version: str) -> Bundle:
    major, minor, _ = version.split(".")
    stamped = "k8s.io/component-base/version"
    binary = f"https://dl.k8s.io/v{version}/bin/linux/{architecture()}/{{name}}"
    etcd = ETCD_OF_MINOR[f"{major}.{minor}"]
    etcd_base = f"https://github.com/etcd-io/etcd/releases/download/v{etcd}"
    etcd_folder = f"etcd-v{etcd}-linux-{architecture()}"
    old = f"{major}.{minor}" == INSECURE_MINOR
    return Bundle(
        name="kubernetes",
        module="k8s.io/kubernetes",
        version=version,
        packages={
            "etcd": "go.etcd.io/etcd" if old else "go.etcd.io/etcd/server/v3",
            **{name: f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES_COMMANDS},
            "agnhost": "k8s.io/kubernetes/test/images/agnhost",
        },
        stamps={
            f"{stamped}.gitVersion": f"v{version}",
            f"{stamped}.gitMajor": major,
            f"{stamped}.gitMinor": minor,
            f"{stamped}.gitTreeState": "clean",
            f"{stamped}.gitCommit": "unknown",
            "k8s.io/client-go/pkg/version.gitVersion": f"v{version}",
        },
        replaces=_REPLACED_IN_1_19 if old else {},
        generation=_GENERATED_IN_1_19 if old else None,
        releases={
            **dict.fromkeys(KUBERNETES_COMMANDS, Release(version, binary, f"{binary}.sha256")),
            "etcd": Release(
                etcd,
                f"{etcd_base}/{etcd_folder}.tar.gz",
                f"{etcd_base}/SHA256SUMS",
                f"{etcd_folder}/{{name}}",
            ),
        },
    )


def _key_log(version: str) -> Bundle:
    """One end of each connection has its secrets, and the API server is an end of all that are decoded."""
    of_kubernetes = _kubernetes(version)
    return replace(
        of_kubernetes,
        name="key-log",
        packages={KEY_LOGGING_API_SERVER: of_kubernetes.packages["kube-apiserver"]},
        need=TLS_KEYS,
        key_log=True,
        releases={},
    )


def _delayed_scheduler(version: str) -> Bundle:
    """The scheduler of that version and a plugin of ours, which waits; 1.36 and later take it."""
    return replace(
        _kubernetes(version),
        name=DELAYED_SCHEDULER,
        packages={DELAYED_SCHEDULER: f"kubewitness.example/{DELAYED_SCHEDULER}"},
        main=Path(__file__).with_name("delayed_scheduler.go").read_text(),
        need=DELAYED_SCHEDULER,
        releases={},
    )


def _kwok() -> Bundle:
    """Never downloaded: its releases are published without checksums."""
    version, module = "0.8.0", "sigs.k8s.io/kwok"
    return Bundle(
        name="kwok",
        module=module,
        version=version,
        packages={"kwok": f"{module}/cmd/kwok"},
        stamps={f"{module}/pkg/consts.Version": version},
        need=SIMULATED_NODES,
    )


def _containerd(kubernetes: str) -> Bundle:
    """Of version 1 for old kubelets: its second speaks only v1 of the runtime's interface."""
    version, module = "2.4.2", "github.com/containerd/containerd/v2"
    if not speaks_runtime_v1(parse_minor(kubernetes)):
        version, module = "1.7.35", "github.com/containerd/containerd"
    names = ("containerd", "containerd-shim-runc-v2", "ctr")
    base = f"https://github.com/containerd/containerd/releases/download/v{version}"
    archive = f"{base}/containerd-static-{version}-linux-{architecture()}.tar.gz"
    release = Release(version, archive, f"{archive}.sha256sum", "bin/{name}")
    return Bundle(
        name="containerd",
        module=module,
        version=version,
        packages={name: f"{module}/cmd/{name}" for name in names},
        stamps={f"{module}/version.Version": f"v{version}"},
        releases=dict.fromkeys(names, release),
    )


def _runc() -> Bundle:
    version, module = "1.5.2", "github.com/opencontainers/runc"
    base = f"https://github.com/opencontainers/runc/releases/download/v{version}"
    return Bundle(
        name="runc",
        module=module,
        version=version,
        packages={"runc": module},
        tags=("netgo", "osusergo", "urfave_cli_no_docs"),
        needs_c=True,
        releases={"runc": Release(version, f"{base}/runc.{architecture()}", f"{base}/runc.sha256sum")},
    )


def _cni() -> Bundle:
    version, module = "1.9.1", "github.com/containernetworking/plugins"
    plugins = {"bridge": "main", "host-local": "ipam", "loopback": "main", "portmap": "meta", "ptp": "main"}
    base = f"https://github.com/containernetworking/plugins/releases/download/v{version}"
    archive = f"{base}/cni-plugins-linux-{architecture()}-v{version}.tgz"
    release = Release(version, archive, f"{archive}.sha256", "./{name}")
    return Bundle(
        name="cni",
        module=module,
        version=version,
        packages={name: f"{module}/plugins/{kind}/{name}" for name, kind in plugins.items()},
        stamps={f"{module}/pkg/utils/buildversion.BuildVersion": f"v{version}"},
        releases=dict.fromkeys(plugins, release),
    )


# In the order in which CoreDNS chains them (its plugin.cfg). A build with only these leaves out the
# cloud vendors' SDKs, which are most of upstream's compile time, and behaves the same for a cluster.
_DNS_DIRECTIVES: Final = (
    *("reload", "ready", "health", "prometheus", "errors", "log"),
    *("loadbalance", "cache", "hosts", "kubernetes", "loop", "forward"),
)
_DNS_PACKAGE_OF: Final = {"prometheus": "metrics"}  # where it is not named as the directive


def _coredns(kubernetes: str) -> Bundle:
    """1.10 for old clusters: it is the last to read EndpointSlices before their v1."""
    version = "1.14.6" if has_endpoint_slices(parse_minor(kubernetes)) else "1.10.1"
    module = "github.com/coredns/coredns"
    packages = (_DNS_PACKAGE_OF.get(directive, directive) for directive in _DNS_DIRECTIVES)
    imports = "\n".join(f'\t_ "{module}/plugin/{package}"' for package in packages)
    directives = ", ".join(f'"{directive}"' for directive in _DNS_DIRECTIVES)
    main = (
        f'package main\n\nimport (\n\t"{module}/core/dnsserver"\n\t"{module}/coremain"\n{imports}\n)\n\n'
        f"func init() {{ dnsserver.Directives = []string{{{directives}}} }}\n\n"
        "func main() { coremain.Run() }\n"
    )
    base = f"https://github.com/coredns/coredns/releases/download/v{version}"
    archive = f"{base}/coredns_{version}_linux_{architecture()}.tgz"
    return Bundle(
        name="coredns",
        module=module,
        version=version,
        packages={"coredns": "kubewitness.example/coredns"},
        main=main,
        releases={"coredns": Release(version, archive, f"{archive}.sha256", "{name}")},
    )


def _csi() -> Bundle:
    """A CSI driver of our own, and the provisioner that makes volumes by it.

    The driver tells what it was called for, and needs no tools in its image. It is built with the versions
    that the provisioner pins.
    """
    version, module = "6.4.0", "github.com/kubernetes-csi/external-provisioner/v6"
    return Bundle(
        name="csi",
        module=module,
        version=version,
        packages={
            "csi-provisioner": f"{module}/cmd/csi-provisioner",
            "csi-driver": "kubewitness.example/csi",
        },
        stamps={"main.version": f"v{version}"},
        main=Path(__file__).with_name("csi.go").read_text(),
        need=CSI_DRIVER,
    )


def _kind() -> Bundle:
    version, module = "0.33.0", "sigs.k8s.io/kind"
    binary = (
        f"https://github.com/kubernetes-sigs/kind/releases/download/v{version}/kind-linux-{architecture()}"
    )
    return Bundle(
        name="kind",
        module=module,
        version=version,
        packages={"kind": module},
        need=KIND,
        releases={"kind": Release(version, binary, f"{binary}.sha256sum")},
    )


def _witness() -> Bundle:
    """The program of the test image, for what agnhost does not tell or do."""
    return Bundle(
        name="witness",
        module="",
        version="1",
        packages={"witness": "kubewitness.example/witness"},
        main=Path(__file__).with_name("witness.go").read_text(),
    )


def bundles(kubernetes: str) -> tuple[Bundle, ...]:
    """All bundles for clusters of that exact version ("1.37.2"), the longest build first."""
    return (
        _kubernetes(kubernetes), _key_log(kubernetes), _delayed_scheduler(kubernetes), _csi(),
        _containerd(kubernetes), _coredns(kubernetes), _kwok(), _runc(), _cni(), _kind(), _witness(),
    )  # fmt: skip


_BUNDLES: Final = bundles(f"1.{LAST_MINOR}.0")
#: What every cluster is made of.
ALL: Final = tuple(name for bundle in _BUNDLES if not bundle.need for name in bundle.packages)
#: What a cluster of simulated nodes is made of.
SIMULATED: Final = (
    "etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kubectl", "kwok",
)  # fmt: skip
#: What is had only for behaviours with a need, or for a provider, by that need.
EXTRA: Final = {bundle.need: tuple(bundle.packages) for bundle in _BUNDLES if bundle.need}
